"""Events of the journal: reading returns what was written, and never raises."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.contract import events
from fedsim_runner.contract.course_state import CourseState
from fedsim_runner.contract.events import Event, UnknownEvent, parse, parse_line

ROOT = Path(__file__).resolve().parents[3]
FILLED: dict[str, Any] = {
    "device": "pi-1",
    "reason": "silent for 30 s",
    "results": {"test_acc": 0.5, "test_loss": None},
    "last_lines": ("one", "two"),
    "installed": True,
    "oom_killed": False,
    "changed": True,
    "backend": "netem",
    "kernel": "6.1",
    "congestion_control": "cubic",
    "scheduling": "real-time",
    "address": "198.18.0.1",
    "open_at": 12.5,
    "found": "up is none, not tbf",
    "direction": "up",
    "verdict": "out",
    "rate_verdict": "within",
    "loss_verdict": "out",
    "what": "up 1 Mbit/s",
    "host": "lab2",
    "hosts": ("lab2", "lab3"),
    "status": "finished",
    "stage": "collect",
    "failed": ("pi-1: the kernel refused it",),
    "others": ("south", "west"),
    "unguarded": "Operation not supported",
    "encrypted": True,
    "peer": "north",
    "text": "no val_data in the trainer",
    "arch": "arm64",
    "host_arch": "amd64",
    "engine": "light",
}
DEVICES = ("pi-1", "pi-2")  # of events that name them; others count them
# Names with another meaning elsewhere: a step of activity.jsonl, a key of the experiment, a field of exit.json, a
# participant's event.
ELSEWHERE = {"evaluated", "round_deadline", "round_quorum", "gate_opened", "training_finished"}
GARBAGE = (None, True, 3, -1e400, float("nan"), 10**5000, "x" * 10, "\ud800", [], [[]], {}, {"a": {}}, [1, "b"])


def filled(kind: type[Event]) -> Event:
    names = [name for name in kind.__dataclass_fields__ if name not in Event.__dataclass_fields__]
    values = {name: FILLED.get(name, 3) for name in names}
    named = events.TimelineEvent | events.LinksVarying | events.LinksTooLong | events.ClientsTooClose
    if issubclass(kind, named | events.DevicesEmulated):
        values["devices"] = DEVICES
    return kind(t=10.25, lab_host="lab1", **values)


@pytest.mark.parametrize("kind", Event.known.values(), ids=lambda kind: str(kind.name))
def test_every_event_survives_a_round_trip(kind: type[Event]) -> None:
    event = filled(kind)
    assert parse_line(event.to_line()) == event
    assert parse(event.as_dict()) == event
    assert parse(kind().as_dict()) == kind()
    CourseState().apply(event)
    CourseState().apply(kind())


@pytest.mark.parametrize("kind", Event.known.values(), ids=lambda kind: str(kind.name))
def test_garbage_in_any_field_does_no_harm(kind: type[Event]) -> None:
    for name, garbage in itertools.product(kind.__dataclass_fields__, GARBAGE):
        event = parse({**filled(kind).as_dict(), name: garbage})
        assert event is not None
        CourseState().apply(event)
        assert parse_line(event.to_line()) == event


def test_what_is_not_an_event_is_none() -> None:
    for value in (*GARBAGE, {"event": 3}, {"event": None}, {"t": 1.0}):
        assert parse(value) is None


@pytest.mark.parametrize("line", ["", "{", '{"t": 1, "eve', "[]", "[" * 100_000, "\x00", '{"event": 3}', '"event"'])
def test_a_line_without_an_event_is_none(line: str) -> None:
    assert parse_line(line) is None


def test_an_event_of_another_version_is_kept_and_ignored() -> None:
    event = parse({"t": 3, "event": "battery_low", "device": "pi-1", "percent": 4, "lab_host": "lab1"})
    assert event == UnknownEvent("battery_low", {"device": "pi-1", "percent": 4}, t=3.0, lab_host="lab1")
    assert event.as_dict() == {"t": 3.0, "event": "battery_low", "device": "pi-1", "percent": 4, "lab_host": "lab1"}
    state = CourseState()
    state.apply(event)
    assert (state.events, state.outcome, state.devices["pi-1"].state) == (1, None, None)


def test_an_event_is_read_under_its_former_name() -> None:
    line = '{"t": 3.0, "event": "link_mended", "device": "pi-1", "found": "port is none, not br0", "for_s": 6.0}'
    assert parse_line(line) == events.LinkRestored("pi-1", "port is none, not br0", 6.0, t=3.0)
    assert all(name in Event.known for name in events.FORMER_NAMES.values())


def test_a_line_has_its_time_first_and_no_nan() -> None:
    line = events.Evaluated(2, {"test_acc": float("nan")}, t=5.0).to_line()
    assert line == '{"t": 5.0, "event": "evaluated", "round": 2, "results": {"test_acc": null}}\n'
    assert json.loads(events.RoundStarted(1).to_line()) == {"event": "round_started", "round": 1}


def test_the_names_of_events_are_in_one_package() -> None:
    alone = "|".join(re.escape(name) for name in Event.known.keys() - ELSEWHERE)
    every = "|".join(map(re.escape, Event.known))
    literal = re.compile(rf"""["'](?:{alone})["']|\bevent\b.*["'](?:{every})["']""")
    folders = ("fedsim_runner", "plugins", "benchmarks")
    sources = [path for folder in folders for path in (ROOT / folder).rglob("*.py") if path.parent.name != "events"]
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sources
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if literal.search(line) and not line.lstrip().startswith("sample:")  # documentation of a module
    ]
    assert len(sources) > 200
    assert found == []
