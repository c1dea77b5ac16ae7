"""How busy the lab hosts of a run were."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.agent.host.host_load import HEADER
from fedsim_runner.results import write_report
from fedsim_runner.results.findings import describe_findings
from tests.unit.results.synthetic import BEGAN, write_run


def samples(busy: float, steal: float, cpus: int = 4, load: float = 1.5, running: int = 3) -> str:
    """Twenty seconds from the gate's opening on, with so many busy and stolen processors, after ten wild ones."""
    lines = [HEADER]
    for second in range(-16, 15):
        inside = max(0, second + 6)
        wild = 40.0 * (second + 16) if second < -6 else 400.0
        values = (BEGAN + second, cpus, load, running, wild + busy * inside, steal * inside)
        lines.append(",".join(f"{value:g}" if value < 1e6 else f"{value:.3f}" for value in values))
    return "\n".join(lines) + "\nnonsense,4\n,,,,,\n"


def hosts_of(tmp_path: Path, text: str, rounds: int = 6) -> tuple[Path, dict[str, Any]]:
    folder = write_run(tmp_path / "r", rounds=rounds)
    (folder / "host.csv").write_text(text, encoding="utf-8")
    return folder, write_report(folder)


def test_a_host_is_described_for_the_time_of_the_course(tmp_path: Path) -> None:
    folder, report = hosts_of(tmp_path, samples(busy=2.0, steal=0.04))
    (host,) = report["hosts"]
    assert (host["lab_host"], host["devices"], host["cpus"]) == ("local", 5, 4)
    assert (host["busy_share"], host["largest_busy_share"], host["steal_share"]) == (0.5, 0.5, 0.01)
    assert (host["mean_load"], host["largest_load"], host["mean_running"], host["contended"]) == (1.5, 1.5, 2.0, False)
    throttled = [entry["throttled_seconds"] for entry in report["devices"].values()]
    assert host["throttled_seconds"] == pytest.approx(sum(value or 0.0 for value in throttled), abs=0.001)
    with (folder / "hosts.csv").open(encoding="utf-8", newline="") as stream:
        assert [row["lab_host"] for row in csv.DictReader(stream)] == ["local"]
    assert not [line for line in describe_findings(report) if "short of processors" in line]


@pytest.mark.parametrize(("busy", "steal"), [(3.9, 0.0), (1.0, 0.2)], ids=["busy", "stolen"])
def test_a_host_that_was_short_of_processors_is_named(tmp_path: Path, busy: float, steal: float) -> None:
    _, report = hosts_of(tmp_path, samples(busy, steal, load=9.0))
    (line,) = [line for line in describe_findings(report) if "short of processors" in line]
    assert line.startswith("Lab host local was short of processors: ") and "load up to 9.0" in line


@pytest.mark.parametrize("text", ["", "nonsense", HEADER, f"{HEADER}\n1e99,x,,\n"])
def test_without_samples_there_is_no_entry(tmp_path: Path, text: str) -> None:
    assert hosts_of(tmp_path, text, rounds=2)[1]["hosts"] == []


def test_a_host_that_was_busy_with_something_else_is_named(tmp_path: Path) -> None:
    lines = samples(busy=3.0, steal=0.0).splitlines()
    # The agent's own seconds grow by half a core; the devices' are in metrics.csv.
    known = [f"{line},{index * 0.5:g}" if index and line[:1].isdigit() else line for index, line in enumerate(lines)]
    _, report = hosts_of(tmp_path, "\n".join(known) + "\n")
    (host,) = report["hosts"]
    used = sum(entry["cpu_seconds"] for entry in report["devices"].values())
    assert used > 0.0 and 0.25 < host["others_share"] < (3.0 - 0.5) / 4
    (line,) = [line for line in describe_findings(report) if "busy with something else" in line]
    assert line.startswith("Lab host local was busy with something else: programs other than the run's took ")


def test_other_lab_hosts_have_their_own(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "r")
    for host in ("far", "near"):
        (folder / "agents" / host).mkdir(parents=True)
        (folder / "agents" / host / "host.csv").write_text(samples(1.0, 0.0), encoding="utf-8")
        (folder / "agents" / host / "journal.jsonl").write_text("", encoding="utf-8")
    assert [host["lab_host"] for host in write_report(folder)["hosts"]] == ["far", "near"]


@pytest.mark.parametrize(
    ("late_1ms", "late_5ms", "named"),
    [(2_000, 0, True), (200, 150, True), (200, 50, False), (0, 0, False)],
    ids=["often", "much", "rarely", "never"],
)
def test_a_host_that_was_late_with_packets_is_named(tmp_path: Path, late_1ms: int, late_5ms: int, named: bool) -> None:
    folder = write_run(tmp_path / "r")
    (folder / "host.csv").write_text(samples(1.0, 0.0), encoding="utf-8")
    timed = {"packets": 100_000, "late_1ms": late_1ms, "late_5ms": late_5ms, "latest_us": 9_300}
    with (folder / "journal.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(json.dumps({"t": BEGAN + 1, "event": "packets_timed", **timed, "scheduling": "nice"}) + "\n")
    report = write_report(folder)
    (host,) = report["hosts"]
    assert (host["packets"], host["packets_late_1ms"], host["packets_late_5ms"]) == (100_000, late_1ms, late_5ms)
    assert (host["latest_packet_us"], host["packet_scheduling"]) == (9_300, "nice")
    found = [line for line in describe_findings(report) if "was late with packets" in line]
    assert bool(found) is named
    if named:
        share = f"{late_1ms / 1000:.1f} % of 100000 left more than 1 ms late"
        assert share in found[0] and "the latest by 9.3 ms (scheduling of the packet process: nice)" in found[0]


def test_few_late_packets_of_few_are_nothing_to_tell(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "r")
    (folder / "host.csv").write_text(samples(1.0, 0.0), encoding="utf-8")
    with (folder / "journal.jsonl").open("a", encoding="utf-8") as stream:
        stream.write('{"t": 1, "event": "packets_timed", "packets": 100, "late_1ms": 9, "late_5ms": 9}\n')
    assert not [line for line in describe_findings(write_report(folder)) if "was late with packets" in line]
