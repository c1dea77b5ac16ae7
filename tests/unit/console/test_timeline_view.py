"""The timeline as `plan --events` prints it."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from fedsim_runner.console.timeline_view import count_entries, render_timeline
from fedsim_runner.spec.load import read_draft

EVENTS = Path(__file__).resolve().parents[2] / "golden" / "specs" / "good" / "events.yaml"


def printed() -> list[str]:
    stream = io.StringIO()
    timeline = read_draft(EVENTS).experiment.timeline
    Console(file=stream, width=200).print(render_timeline(timeline))
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_events_are_in_the_order_of_time_then_rounds_then_states() -> None:
    head, *lines = printed()
    assert head.split() == ["event", "when", "devices", "what", "for"]
    assert lines[0].split() == ["1", "at", "0", "s", "phone-1,", "phone-2", "link", "as", "2g", "30", "s"]
    assert [line.split()[1] for line in lines] == ["at"] * 11 + ["round"] * 2 + ["when"] * 2
    times = [float(line.split()[2]) for line in lines[:11]]
    assert times == sorted(times)


def test_kinds_are_counted() -> None:
    timeline = read_draft(EVENTS).experiment.timeline
    assert count_entries(timeline) == "11 at a given time, 2 in a given round, 2 as a device reaches a state"
