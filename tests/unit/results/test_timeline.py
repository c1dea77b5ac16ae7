"""What became of the events of an experiment: events.csv, the page, the figures, and the lines for people."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from fedsim_runner.console.event_lines import describe_event
from fedsim_runner.contract.events import EventBegun, EventEnded, EventFailed, TimelineEvent
from fedsim_runner.contract.time_scale import REAL_TIME
from fedsim_runner.contract.timeline import LinkChange, TimelineEntry, When
from fedsim_runner.contract.typed_json import dump
from fedsim_runner.results.figures.event_marks import event_caption, place_numbers
from fedsim_runner.results.figures.learning import draw_accuracy
from fedsim_runner.results.figures.timeline import draw_timeline
from fedsim_runner.results.findings import describe_findings
from fedsim_runner.results.page import try_publish
from fedsim_runner.results.run_report import write_report
from fedsim_runner.results.summary import render_summary
from fedsim_runner.results.tables.timeline import COLUMNS, build_events, describe_events, read_timeline
from tests.unit.results.synthetic import BEGAN, write_run

SLOW = TimelineEntry(number=1, devices=("smartphone-high-1",), at_s=7, up=LinkChange(rate_bps=500_000), duration_s=1)
CUT = TimelineEntry(number=2, devices=("smartphone-low-2", "raspberry-pi-3"), round=2, action="partition")
NEVER = TimelineEntry(number=3, devices=("server",), when=When("iot-minimal-4", "finished"), action="offline")
BEGUN = EventBegun(1, SLOW.devices, "up 500 kbit/s", BEGAN + 1.0, 0.004, "tbf rate 500000 bit/s", t=BEGAN + 1.004)
ENDED = EventEnded(1, SLOW.devices, "up 500 kbit/s", BEGAN + 2.0, 0.006, "tbf rate 50000000 bit/s", t=BEGAN + 2.006)
FAILED = EventFailed(2, CUT.devices, "partition", BEGAN + 1.5, "no such bridge", t=BEGAN + 1.6)


def run_with(tmp_path: Path, *events: TimelineEvent) -> tuple[Path, dict[str, Any]]:
    folder = write_run(tmp_path / "r", rounds=3)
    (path,) = (folder / "inventory" / "device_files").glob("*.json")
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, "timeline": dump((SLOW, CUT, NEVER))}), encoding="utf-8")
    journal = folder / "journal.jsonl"
    lines = [json.dumps(event.as_dict()) for event in events]
    journal.write_text("\n".join([*lines, journal.read_text(encoding="utf-8")]), encoding="utf-8")
    return folder, write_report(folder)


def test_each_event_has_a_row_with_what_became_of_it(tmp_path: Path) -> None:
    folder, report = run_with(tmp_path, BEGUN, ENDED, FAILED)
    with (folder / "events.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(rows[0]) == COLUMNS
    assert [row["state"] for row in rows] == ["ended", "failed", "not reached"]
    first, second, third = report["events"]
    assert (first["due_at"], first["began_at"], first["late_seconds"]) == (1.0, 1.004, 0.004)
    assert (first["ended_at"], first["found"], first["found_then"]) == (2.006, BEGUN.found, ENDED.found)
    assert (first["when"], first["what"], first["duration_seconds"]) == ("at 7 s", "up 500 kbit/s", 1)
    assert (second["devices"], second["reason"]) == ("smartphone-low-2 raspberry-pi-3", "no such bridge")
    assert (third["when"], third["began_at"]) == ("when iot-minimal-4 has finished", None)


def test_a_run_without_events_has_an_empty_table(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "r", rounds=2)
    assert write_report(folder)["events"] == []
    assert (folder / "events.csv").read_text(encoding="utf-8") == ",".join(COLUMNS) + "\n"
    assert describe_events([]) is None


def test_of_several_lab_hosts_the_first_begins_and_the_latest_counts() -> None:
    far = replace(BEGUN, t=BEGAN + 1.2, late_s=0.2, found="netem rate 500000 bit/s", lab_host="far")
    (row,) = build_events([SLOW], [BEGUN, far], BEGAN)
    assert (row["began_at"], row["late_seconds"]) == (1.004, 0.2)
    assert row["found"] == "tbf rate 500000 bit/s; netem rate 500000 bit/s"


def test_an_event_that_failed_somewhere_has_failed() -> None:
    for order in ([BEGUN, replace(FAILED, number=1)], [replace(FAILED, number=1), BEGUN, ENDED]):
        assert build_events([SLOW], order, BEGAN)[0]["state"] == "failed"


def test_what_the_plan_no_longer_says_is_taken_from_the_journal() -> None:
    (row,) = build_events([], [BEGUN, replace(BEGUN, number=None)], None)
    assert (row["what"], row["devices"], row["began_at"]) == ("up 500 kbit/s", "smartphone-high-1", None)


def test_a_damaged_timeline_does_no_harm() -> None:
    assert read_timeline([{}, None, {"number": 1}, dump(SLOW)], REAL_TIME) == [SLOW]
    assert read_timeline(None, REAL_TIME) == read_timeline("x", REAL_TIME) == []


@pytest.mark.drawing
def test_summary_findings_and_page_say_what_became_of_events(tmp_path: Path) -> None:
    folder, report = run_with(tmp_path, replace(BEGUN, late_s=0.31), ENDED, FAILED)
    found = describe_findings(report)
    assert "Event 2 (partition) failed: no such bridge." in found
    assert "The course was over before the moment of event 3." in found
    assert "Events that began late: 1 by 0.31 s." in found
    console = Console(width=160, record=True, file=(tmp_path / "out").open("w"))
    console.print(render_summary(report, folder))
    assert "events: 1 of 3 took place, 1 failed, at most 310 ms late" in console.export_text()
    try_publish(folder, report)
    page = (folder / "report.html").read_text(encoding="utf-8")
    table = page[page.index("What the experiment had happen") :]
    assert "failed: no such bridge" in table and "not reached" in table
    assert "tbf rate 500000 bit/s" in (folder / "events.csv").read_text(encoding="utf-8")


def test_devices_that_were_not_back_in_time_are_named() -> None:
    kill = replace(CUT, action="kill", duration_s=2.0)
    ended = EventEnded(2, CUT.devices, "kill", BEGAN + 3.5, 0.01, "restarted", t=BEGAN + 3.6)
    states = {"smartphone-low-2": {"state": "exited"}, "raspberry-pi-3": {"state": "finished"}}
    report = {"status": "finished", "devices": states, "events": build_events([kill], [ended], BEGAN)}
    (line,) = describe_findings(report)
    assert line == "Restarted by an event, and not back before the end of the course: smartphone-low-2."
    assert describe_findings({**report, "status": "failed"}) == []


@pytest.mark.drawing
def test_figures_over_time_have_marks_and_say_so(tmp_path: Path) -> None:
    _, report = run_with(tmp_path, BEGUN, ENDED)
    bare = {**report, "events": []}
    for draw in (draw_timeline, draw_accuracy):
        marked, plain = draw(report), draw(bare)
        assert marked is not None and plain is not None
        assert "Violet lines: an event began" in marked.caption and "#7a3e9d" in marked.svg.lower()
        assert "Violet" not in plain.caption and "#7a3e9d" not in plain.svg.lower()


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (BEGUN, "event 1: smartphone-high-1: up 500 kbit/s"),
        (ENDED, "event 1 is over: smartphone-high-1: up 500 kbit/s"),
        (FAILED, "event 2 failed: smartphone-low-2, raspberry-pi-3: partition: no such bridge"),
    ],
)
def test_the_terminal_names_events_as_they_happen(event: TimelineEvent, line: str) -> None:
    assert describe_event(event) == line


def test_outages_of_availability_have_rows_unless_the_course_was_over_and_no_marks_across_a_figure() -> None:
    entry = TimelineEntry(number=1, devices=("pi",), at_s=7, action="offline", duration_s=1, of_availability=True)
    begun = EventBegun(1, ("pi",), "offline", BEGAN + 1.0, 0.004, t=BEGAN + 1.004)
    rows = build_events([entry, replace(entry, number=2, at_s=90)], [begun], BEGAN)
    assert [(row["event"], row["of"], row["state"]) for row in rows] == [(1, "availability", "begun")]
    report = {"events": rows}
    assert event_caption(report) and not event_caption(report, availability=False)


def test_numbers_of_events_do_not_overlap() -> None:
    assert place_numbers([(1.0, 1), (50.0, 2)], 0.1) == [(1.0, "1"), (50.0, "2")]
    assert place_numbers([(1.0, 3), (1.0, 4), (1.1, 28), (1.2, 5)], 0.1) == [(1.1, "3-5,28")]
    dense = place_numbers([(at * 0.7, at) for at in range(1, 25)], 0.1)
    edges = [(at - len(text) * 0.18, at + len(text) * 0.18) for at, text in dense]
    assert all(before[1] < after[0] for before, after in pairwise(edges))
