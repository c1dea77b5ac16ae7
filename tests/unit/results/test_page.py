"""The page of a run: complete, self-contained, and safe to open whatever it contains."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedsim_runner.results import build_report, write_report
from fedsim_runner.results.figures.resource_usage import Usage
from fedsim_runner.results.page import PAGE, publish, try_publish
from fedsim_runner.results.page.formats import seconds
from fedsim_runner.results.tables import client_results, cost, devices, hosts, rounds
from fedsim_runner.results.tables import time_split as split
from tests.unit.results.synthetic import BEGAN, write_run

pytestmark = pytest.mark.drawing

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "$\\frac{1}{$ & </svg> {{ 7 * 7 }}",
    "ümlaut-名前-\u202e-\x1b[31m",
    "\x1b]0;title\x07\x9b2J\x9d52;c;x\x9c[link=x]text[/]",
)
LOADING = {"src", "srcset", "action", "formaction", "poster", "data", "background", "manifest", "ping", "cite"}
ELEMENTS = {"script", "iframe", "object", "embed", "link", "base", "form", "audio", "video", "source", "foreignobject"}


class Page(HTMLParser):
    """What a page refers to, which elements and ids it has, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.elements: set[str] = set()
        self.ids: list[str] = []
        self.handlers: list[str] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        for name, value in attributes:
            if name in LOADING or name.endswith("href"):
                self.references.append(value or "")
            if name == "id":
                self.ids.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def page_of(folder: Path, **options: Any) -> tuple[str, Page, dict[str, Any]]:
    write_run(folder, **options)
    report = write_report(folder)
    text = publish(folder, report).read_text(encoding="utf-8")
    return text, Page(text), report


def test_nothing_is_loaded_from_anywhere(tmp_path: Path) -> None:
    text, page, _ = page_of(tmp_path / "r", clients=14, lost=True, late=True)
    assert not page.elements & ELEMENTS
    outside = [one for one in page.references if not one.startswith(("#", "data:image/png;base64,"))]
    assert outside == []
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", text))
    assert "@import" not in text
    assert set(re.findall(r"https?://[\w./-]+", text)) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_figures_do_not_share_ids(tmp_path: Path) -> None:
    text, page, _ = page_of(tmp_path / "r")
    assert len(page.ids) == len(set(page.ids))
    assert {target[1:] for target in re.findall(r'href="(#[^"]+)"', text)} <= set(page.ids)
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(page.ids)


def test_narrow_screens_have_their_own_figures(tmp_path: Path) -> None:
    text, _, _ = page_of(tmp_path / "run")
    wide, narrow = (
        [float(width) for width in re.findall(rf'<div class="{kind}"[^>]*><svg[^>]*viewBox="0 0 ([\d.]+)', text)]
        for kind in ("wide", "narrow")
    )
    assert len(wide) == len(narrow) == text.count("<figure>") > 5
    assert set(wide) == {504.0}
    assert set(narrow) == {252.0}


def test_the_page_shows_what_the_report_has(tmp_path: Path) -> None:
    _, page, report = page_of(tmp_path / "r", rounds=8, lost=True, late=True)
    words = " ".join(" ".join(page.text).split())
    for figure in ("Accuracy", "Loss", "Accuracy of the clients", "Timeline of 8 rounds", "in detail",
                   "Where the time of a round goes", "Processor", "Memory", "Bytes up and down",
                   "How the labels were distributed"):  # fmt: skip
        assert figure in words
    assert f"{report['final']['test_acc']:.4f}" in words
    for name, entry in report["devices"].items():
        assert name in words
        if entry["mean_compute_seconds"] is not None:
            assert f"{entry['mean_compute_seconds']:.3f} s" in words
    last = report["rounds"][-1]
    assert f"on average, deviation {last['client_accuracy_deviation']:.4f}, 10th percentile" in words
    target = report["targets"][-1]
    assert f"{target['accuracy'] * 100:.0f} % {target['round']} {seconds(target['elapsed_seconds'])}" in words
    assert "1.500 s to load all devices, before the course" in words
    assert "of it before the course loading throttled" in words
    assert "0.400 s 0.500 s" in words
    assert "iot-minimal-4 was lost" in words
    assert "arrived too late and were dropped: iot-minimal-4 (1)" in words
    assert "Packets dropped at the device's interface: smartphone-low-2 (2)" in words
    assert "Killed by the kernel for lack of memory: iot-minimal-4" in words
    assert "Compute is scaled by the factor 0.05 on all devices alike, while links run in real time" in words
    assert "sha256:" + "c" * 64 in words
    assert "50 Mbit/s" in words
    assert "2 iot-minimal-4 late, last" in words
    assert " object at 0x" not in words


def test_hostile_names_and_texts_are_only_text(tmp_path: Path) -> None:
    names = dict(enumerate(HOSTILE, 1))
    folder = tmp_path / "r"
    # A device's name is a folder of collected/, so it cannot hold a slash: such names come from damaged files only.
    write_run(folder, names={k: name.replace("/", "|") for k, name in names.items()}, experiment=HOSTILE[0])
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["kernel"] = HOSTILE[1]
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    report = write_report(folder, status="failed", reason=HOSTILE[2], notes=HOSTILE)
    report["devices"][HOSTILE[1]] = {**report["devices"]["server"], "error": HOSTILE[0]}
    page = Page(publish(folder, report).read_text(encoding="utf-8"))
    assert not page.elements & ELEMENTS
    assert "img" not in page.elements
    assert page.handlers == []
    shown = "".join(page.text)
    assert "49" not in shown.split("{{ 7 * 7 }}")[0][-5:]
    for text in HOSTILE[:3]:
        assert text in shown
    assert shown.replace("\n", "").isprintable() and "title" not in shown and "[link=x]text[/]" in shown
    assert not [problem for problem in page.text if "could not be drawn" in problem]


@pytest.mark.parametrize(
    ("missing", "text"),
    [
        ("journal.jsonl", "No round was evaluated."),
        ("metrics.csv", "Measured"),
        ("manifest.json", "The run folder has no manifest."),
        ("plan.json", "Measured"),
        ("participants/labels.json", "How the labels were distributed is not known."),
        ("inventory/device_files/local.json", "Measured"),
        ("collected/server/course/activity.jsonl", "the participants recorded no activity"),
    ],
)
def test_a_page_without(tmp_path: Path, missing: str, text: str) -> None:
    folder = write_run(tmp_path / "r")
    (folder / missing).unlink()
    words = " ".join(Page(publish(folder, write_report(folder)).read_text(encoding="utf-8")).text)
    assert text in words


def test_a_run_that_failed_before_its_devices_is_not_called_usual(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    report = {"run": "r", "status": "failed", "reason": "no Engine answers", "rounds": [], "devices": {}, "notes": []}
    text = publish(tmp_path / "r", report).read_text(encoding="utf-8")
    assert "Nothing unusual" not in text and "Nothing was recorded of devices or links." in text


def test_clients_without_an_accuracy_are_described_by_their_loss(tmp_path: Path) -> None:
    write_run(tmp_path / "r")
    report = write_report(tmp_path / "r")
    spread = {"client_loss_mean": 0.5, "client_loss_deviation": 0.25, "client_loss_p90": 0.75}
    report["fairness"] = {"accuracy": None, "loss": "train_loss", "round": 3, "clients_evaluated": 2, **spread}
    for entry in report["devices"].values():
        entry["last_accuracy"] = None
    text = " ".join(publish(tmp_path / "r", report).read_text(encoding="utf-8").split())
    assert "In round 3, 2 clients: training loss 0.5000 on average, deviation 0.2500, 90th percentile 0.7500." in text
    assert "last<br>accuracy" not in text


def test_two_samples_are_one_value_over_their_time() -> None:
    times, cores = Usage(np.array([2.0, 3.0]), np.zeros(2), np.array([0.5, 1.0])).cores()
    assert (times.tolist(), cores.tolist()) == ([2.0, 3.0], [0.5, 0.5])


def test_a_page_of_nothing(tmp_path: Path) -> None:
    words = " ".join(Page(publish(tmp_path, write_report(tmp_path)).read_text(encoding="utf-8")).text)
    assert "the run ended before its journal began" in words
    assert "No devices are known." in words


def test_figures_for_papers(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "r", rounds=8)
    publish(folder, write_report(folder), figures=True)
    names = {path.name for path in (folder / "figures").iterdir()}
    figures = (
        "accuracy",
        "loss",
        "clients",
        "timeline",
        "timeline-near",
        "breakdown",
        "bytes",
        "throughput",
        "cpu",
        "memory",
        "labels",
    )
    assert names == {f"{name}.{form}" for name in figures for form in ("svg", "pdf")}
    assert (folder / "figures" / "timeline.pdf").read_bytes().startswith(b"%PDF")


def test_the_same_run_gives_the_same_page(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "r")
    report = write_report(folder)
    first = publish(folder, report).read_bytes()
    assert publish(folder, report).read_bytes() == first


def test_a_page_of_many_devices_stays_small_and_its_tables_complete(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "r", clients=500, rounds=3, lost=True)
    _add_links(folder)
    text = publish(folder, write_report(folder)).read_text(encoding="utf-8")
    page = Page(text)
    assert len(text) < 2_000_000
    assert not [line for line in page.text if "could not be drawn" in line]
    tables = ("Mean per round by device", "Requested of each device", "Measured of each device")
    for table in (*tables, "Links as measured", "Links as counted"):
        body = text.split(f'aria-label="{table}"')[1].split("</table>")[0]
        assert body.count("<tr>") - 1 >= 500
    words = " ".join(" ".join(page.text).split())
    assert "of 501 devices (slowest, median, fastest, lost)" in words
    assert "All 1498 rows by round and device are in device_rounds.csv" in words
    linked = {target[1:] for target in page.references if target.endswith(("-devices", "-links"))}
    assert linked == {"time-of-devices", "measured-devices", "measured-links", "counted-links"} <= set(page.ids)
    slowest = text.split('aria-label="Mean per round by device"')[1].split("<tbody>")[1]
    assert "slowest</span>" in slowest.split("</tr>")[0]


def _add_links(folder: Path) -> None:
    """Have every link of a run measured before the course, and counted during it."""
    link = {"rate_asked_bps": 1_600_000, "rate_bps": 1_599_123, "loss_asked": 0.005, "lost": 5}
    delays = {"delay_asked_us": 150_000, "delay_us": 150_321, "jitter_asked_us": 15_000, "jitter_us": 15_123}
    measured = {"event": "link_measured", **link, **delays, "sent": 1234, "loss": 0.0061, "verdict": "within"}
    counted = {"event": "link_counted", **link, "packets": 60_123, "overflowed": 3, "bytes": 5_000_000}
    verdicts = {"loss_verdict": "within", "rate_verdict": "undetermined"}
    with (folder / "journal.jsonl").open("a", encoding="utf-8") as journal:
        for device in build_report(folder)["devices"]:
            for way in ("up", "down"):
                which = {"t": BEGAN, "device": device, "direction": way}
                journal.write(
                    json.dumps({**measured, **which}) + "\n" + json.dumps({**counted, **verdicts, **which}) + "\n"
                )


def test_a_page_of_many_rounds_stays_small(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "r", clients=20, rounds=300)
    page = publish(folder, write_report(folder))
    assert page.stat().st_size < 2_000_000
    assert "narrower than a pixel" in page.read_text(encoding="utf-8")


def test_a_run_does_not_fail_because_of_its_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_run(tmp_path / "r")
    report = write_report(folder)
    assert try_publish(folder, report) is None
    monkeypatch.setattr("fedsim_runner.results.page.run_page.render_page", lambda *_: 1 / 0)
    assert try_publish(folder, report) == "report.html was not written: ZeroDivisionError: division by zero"
    assert not (folder / PAGE).exists(), "an older page describes another state"


def test_one_figure_that_fails_costs_only_itself(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "r")
    report = write_report(folder)
    report["labels"]["devices"]["iot-minimal-4"]["train"]["3"] = "many"
    words = " ".join(Page(publish(folder, report).read_text(encoding="utf-8")).text)
    assert "the figure labels could not be drawn" in words
    assert "Where the time of a round goes" in words


def test_a_home_folder_that_cannot_be_written_is_no_matter(tmp_path: Path) -> None:
    write_run(tmp_path)
    program = (
        "import json, pathlib, sys; from fedsim_runner.results.page import publish; "
        "folder = pathlib.Path(sys.argv[1]); publish(folder, json.loads((folder / 'report.json').read_text()))"
    )
    write_report(tmp_path)
    environment = {**os.environ, "HOME": "/proc", "TMPDIR": str(tmp_path)}
    for name in ("MPLCONFIGDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], env=environment, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_verbs_that_do_not_draw_import_no_drawing() -> None:
    code = "import sys, fedsim_runner.cli, fedsim_runner.results; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_documentation_names_every_column(repository: Path) -> None:
    text = (repository / "docs" / "report.md").read_text(encoding="utf-8")
    of_rounds = (*rounds.OWN, *split.ROUND_FIELDS, *client_results.ROUND_FIELDS, *cost.ROUND_FIELDS)
    for column in (*devices.FIELDS, *split.FIELDS, *of_rounds, *cost.TARGET_FIELDS, *hosts.FIELDS):
        assert f"`{column}`" in text, column
