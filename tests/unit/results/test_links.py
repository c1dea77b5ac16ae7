"""What a report says about the links that were measured."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from fedsim_runner.contract.events import LinkCounted, LinkMeasured
from fedsim_runner.results import render_summary, write_report
from fedsim_runner.results.figures.links import draw_links
from fedsim_runner.results.findings import describe_findings
from fedsim_runner.results.page import try_publish
from fedsim_runner.results.tables.links import COLUMNS, build_links, describe_links
from tests.unit.results.synthetic import BEGAN, write_run

GOOD = LinkMeasured(
    t=BEGAN - 10,
    device="phone-1",
    direction="up",
    delay_asked_us=35_000,
    delay_us=35_400,
    jitter_asked_us=4_000,
    jitter_us=3_900,
    rate_asked_bps=12_000_000,
    rate_bps=11_990_000,
    loss_asked=0.001,
    loss=0.0015,
    burst_bytes=3_000,
    sent=2_000,
    lost=3,
    verdict="within",
)
BAD = replace(GOOD, direction="down", delay_us=60_000, verdict="out", reason="delay 60.0 ms (likely reason: load)")
UNLIMITED = replace(GOOD, device="server", rate_asked_bps=None, rate_bps=None, burst_bytes=None)

COUNTED = LinkCounted(
    device="phone-1",
    direction="down",
    packets=4_000,
    lost=6,
    overflowed=2,
    bytes=3_000_000,
    rate_asked_bps=12_000_000,
    rate_bps=11_900_000,
    loss_asked=0.001,
    rate_verdict="within",
    loss_verdict="within",
)


def run_with(tmp_path: Path, *events: LinkMeasured | LinkCounted) -> tuple[Path, dict[str, Any]]:
    folder = write_run(tmp_path / "r", rounds=2)
    journal = folder / "journal.jsonl"
    lines = [json.dumps(event.as_dict()) for event in events]
    journal.write_text("\n".join([*lines, journal.read_text(encoding="utf-8")]), encoding="utf-8")
    return folder, write_report(folder)


def test_each_direction_has_a_row_with_its_error(tmp_path: Path) -> None:
    folder, report = run_with(tmp_path, BAD, GOOD, UNLIMITED)
    with (folder / "links.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(rows[0]) == COLUMNS
    assert {(row["device"], row["direction"]): row["verdict"] for row in rows} == {
        ("server", "up"): "within",
        ("phone-1", "up"): "within",
        ("phone-1", "down"): "out",
    }
    up = next(row for row in report["links"] if (row["device"], row["direction"]) == ("phone-1", "up"))
    assert (up["delay_error_us"], up["jitter_error_us"], up["rate_error_bps"]) == (400, -100, -10_000)
    assert (up["loss_error"], up["packets_sent"], up["packets_lost"]) == (0.0005, 2_000, 3)
    assert next(row for row in rows if row["device"] == "server")["rate_error_bps"] == ""


def test_the_last_measurement_counts(tmp_path: Path) -> None:
    _, report = run_with(tmp_path, replace(GOOD, verdict="out"), replace(GOOD, t=BEGAN - 5))
    assert [row["verdict"] for row in report["links"]] == ["within"]


@pytest.mark.drawing
def test_summary_page_and_findings_name_the_worst(tmp_path: Path) -> None:
    folder, report = run_with(tmp_path, GOOD, BAD)
    (line,) = [line for line in describe_findings(report) if "Links" in line]
    assert line.endswith("phone-1 down: delay 60.0 ms (likely reason: load).")
    console = Console(width=160, record=True, file=(tmp_path / "out").open("w"))
    console.print(render_summary(report, folder))
    assert "1 of 2 as requested, 1 not; worst: phone-1 down, delay 60.0 ms" in console.export_text()
    try_publish(folder, report)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert (
        "Links, as measured before the course" in page
        and "Links, as counted" not in page
        and "out: delay 60.0 ms (likely reason: load)" in page
    )


def test_the_worst_is_named_with_what_is_out(tmp_path: Path) -> None:
    nothing = "nothing arrived (likely reason: firewall: rules in the device's namespace or between bridge ports)"
    silent = replace(BAD, device="phone-2", delay_us=None, jitter_us=None, rate_bps=None, loss=1.0, reason=nothing)
    slow = replace(GOOD, device="phone-3", verdict="out", reason="rate 9 Mbit/s, not 12 Mbit/s (likely reason: load)")
    doubtful = replace(GOOD, device="phone-4", delay_us=90_000, verdict="undetermined", reason="too few values")
    for events, said in (
        ((GOOD, BAD, silent), "phone-2 down, nothing arrived"),
        ((GOOD, slow, doubtful), "phone-3 up, rate 9 Mbit/s, not 12 Mbit/s"),
        ((GOOD, doubtful), "phone-4 up, delay 90.00 ms for 35 ms"),
    ):
        assert str(describe_links(build_links(events))).endswith(f"worst: {said}")


@pytest.mark.drawing
def test_what_the_course_counted_is_in_the_same_row(tmp_path: Path) -> None:
    folder, report = run_with(tmp_path, GOOD, BAD, COUNTED, replace(COUNTED, device="server", rate_verdict=None))
    up, down = (row for row in report["links"] if row["device"] == "phone-1")
    assert up["course_packets"] is None
    assert (down["course_packets"], down["course_packets_lost"], down["course_loss"]) == (4_000, 6, 0.0015)
    assert (down["course_rate_bps"], down["course_overflowed"], down["course_bytes"]) == (11_900_000, 2, 3_000_000)
    assert (down["course_rate_verdict"], down["course_loss_verdict"]) == ("within", "within")
    # One that was counted only, as its run measured some.
    (server,) = (row for row in report["links"] if row["device"] == "server")
    assert (server["verdict"], server["delay_us"], server["course_packets"]) == (None, None, 4_000)
    assert (server["rate_asked_bps"], server["loss_asked"]) == (12_000_000, 0.001)
    assert "1 of 2 as requested" in str(describe_links(report["links"]))
    try_publish(folder, report)
    page = (folder / "report.html").read_text(encoding="utf-8")
    counted = page[page.index("Links, as counted during the course") :]
    assert (
        "<td>4000</td><td>0.15 %</td><td>0.10 %</td>" in counted and "<td>11.9 Mbit/s</td><td>12 Mbit/s</td>" in counted
    )


def test_what_was_asked_of_a_link_that_was_not_measured_is_from_the_device_file() -> None:
    side = {"rate_bps": 12_000_000, "delay_us": 35_000, "jitter_us": 4_000, "loss": 0.001}
    device = {"link": {"up": side, "down": side}}
    for known, asked in (
        (device, (35_000, 4_000)),
        ({**device, "variation": {"up": "t"}}, (None, None)),
        ({"link": {"down": {"rate_bps": "fast"}}}, (None, None)),
        ({"link": None}, (None, None)),
    ):
        (row,) = build_links([], {"phone-1": known}, [COUNTED])
        assert (row["delay_asked_us"], row["jitter_asked_us"]) == asked
        assert (row["rate_asked_bps"], row["loss_asked"]) == (12_000_000, 0.001)
        assert (row["delay_us"], row["delay_error_us"], row["verdict"]) == (None, None, None)


def test_links_that_the_course_shows_to_be_false_are_named(tmp_path: Path) -> None:
    false = replace(COUNTED, rate_verdict="out", reason="30 Mbit/s passed, not 12 Mbit/s (likely reason: kernel)")
    _, report = run_with(tmp_path, GOOD, false)
    (line,) = [line for line in describe_findings(report) if "Links" in line]
    assert line == f"Links that were not as requested during the course: phone-1 down: {false.reason}."


@pytest.mark.drawing
def test_a_figure_has_the_errors(tmp_path: Path) -> None:
    drawn = draw_links({"links": build_links([GOOD, BAD]), "devices": {}})
    assert drawn is not None and drawn.name == "links" and "phone-1" in drawn.svg
    assert draw_links({"links": build_links([replace(GOOD, delay_us=None, jitter_us=None, rate_bps=None)])}) is None
    many = build_links(replace(GOOD, device=f"d{number}", delay_us=35_000 + number) for number in range(80))
    crowd = draw_links({"links": many, "devices": {}})
    assert crowd is not None and "Rows: " in crowd.caption


def test_a_run_without_measurements_has_an_empty_table(tmp_path: Path) -> None:
    folder, report = run_with(tmp_path)
    assert report["links"] == [] and (folder / "links.csv").read_text(encoding="utf-8").count("\n") == 1
    assert draw_links(report) is None
