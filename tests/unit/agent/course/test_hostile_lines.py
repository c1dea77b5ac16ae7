"""A participant may write anything: no line of it makes the agent fail or keeps it busy."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from fedsim_runner.agent.course import activities, tail
from fedsim_runner.agent.course.activities import Activities
from fedsim_runner.agent.course.limits import Limits
from fedsim_runner.agent.course.supervision import Supervisor
from fedsim_runner.contract import participant_events
from fedsim_runner.participant import activity
from fedsim_runner.participant.federatedscope.loglines import parse
from tests.reported import Lines

pytestmark = pytest.mark.lengthy

PREFIX = "2026-01-02 10:00:00,123 (server:442) INFO: "
DIGITS = "9" * 5000
RESULT = "{{'Role': 'Server #', 'Round': {}, 'Results_avg': {{'acc': {}}}}}"

LINES = {
    "round of 5000 digits": f"Starting training (Round #{DIGITS})",
    "port of 5000 digits": f"Server: Listen to 0.0.0.0:{DIGITS}...",
    "lost client of 5000 digits": f"Server: Client #{DIGITS} (a) is lost: x; going on with 1 clients",
    "result's round of 5000 digits": RESULT.format(DIGITS, 1),
    "result's round in hexadecimal": RESULT.format("0x" + "f" * 50_000, 1),
    "result's round far below zero": RESULT.format("-" + "9" * 4000, 1),
    "metric beyond a float": RESULT.format(1, "1" + "0" * 400),
    "minus a text": RESULT.format("-'a'", 1),
    "a list as key": RESULT.format("{[1]: 2}", 1),
    "nested too deeply": RESULT.format("-" * 100_000 + "1", 1),
    "many unfinished results": "{'Role': 'Server #'" * 50_000,
    "many unfinished lost clients": "Server: Client #1 (" * 50_000,
    "an endless list": RESULT.format("[" + "1," * 400_000 + "]", 1),
}


@pytest.mark.parametrize("name", LINES)
def test_log_lines(name: str) -> None:
    supervisor = Supervisor({"hub": "server"}, 3, Limits(1e9, 1e9), 0.0)
    begun = time.process_time()
    events = [event.as_dict() for event in Lines(supervisor).feed("hub", PREFIX + LINES[name], 1.0)]
    assert time.process_time() - begun < 1
    assert all(event["event"] == "evaluated" for event in events)
    assert supervisor.round <= 3
    json.dumps(events, allow_nan=False)


HUGE = "1" + "0" * 400
EVENTS = {
    "without an event": "{}",
    "not an object": "[]",
    "half a line": '{"event": "round", "rou',
    "an unknown name": '{"event": "started", "t": 1}',
    "a list as name": '{"event": ["round"], "round": 1}',
    "round of 5000 digits": f'{{"event": "round", "round": {DIGITS}}}',
    "round of 400 digits": f'{{"event": "round", "round": {HUGE}}}',
    "round far below zero": f'{{"event": "round", "round": -{HUGE}}}',
    "round that is not a number": '{"event": "round", "round": NaN}',
    "round that is a boolean": '{"event": "round", "round": true}',
    "without a round": '{"event": "round"}',
    "client that is a text": '{"event": "lost", "client_id": "1", "reason": "x"}',
    "reason that is a list": '{"event": "lost", "client_id": 1, "reason": ["x"]}',
    "metric beyond a float": f'{{"event": "result", "round": 1, "stage": "evaluation", "scope": "raw", '
    f'"metrics": {{"acc": {HUGE}}}}}',
    "metrics that are a list": '{"event": "result", "round": 1, "stage": "evaluation", "scope": "raw", "metrics": []}',
    "scope that is an object": '{"event": "result", "round": 1, "stage": "evaluation", "scope": {}, "metrics": {}}',
    "nested too deeply": '{"event": "round", "round": ' + "[" * 100_000,
    "an endless result": '{"event": "result", "metrics": {' + '"a": 1, ' * 200_000,
    "a number": "1" * 5000,
    "not text": "\x00\xff",
}


@pytest.mark.parametrize("name", EVENTS)
def test_event_lines(name: str) -> None:
    begun = time.process_time()
    assert participant_events.parse(EVENTS[name]) is None
    assert time.process_time() - begun < 1


@pytest.mark.parametrize(
    "event",
    [
        '{"event": "result", "round": 999999999, "stage": "evaluation", "scope": "avg", "metrics": {"acc": 1}}',
        '{"event": "result", "round": -7, "stage": "training", "scope": "raw", "metrics": {"a": "b", "c": []}}',
        '{"event": "round", "round": 999999999, "more": {"a": 1}}',
        '{"event": "evaluating", "round": -999999999}',
        '{"event": "lost", "client_id": -1, "reason": "x"}',
        '{"event": "update", "client_id": 7, "round": 1, "staleness": -5, "used": false}',
        '{"event": "deadline", "round": -1, "arrived": -1, "wanted": 0}',
        '{"event": "training_failed", "round": 5}',
    ],
)
def test_nonsensical_events_do_no_harm(event: str) -> None:
    supervisor = Supervisor({"hub": "server"}, 3, Limits(1e9, 1e9), 0.0)
    reported = participant_events.parse(event)
    assert reported is not None
    events = [item.as_dict() for item in supervisor.feed_event("hub", reported.event, 1.0)]
    assert supervisor.round <= 3
    assert supervisor.rounds_done <= 3
    json.dumps(events, allow_nan=False)
    supervisor.feed_event("nobody", reported.event, 1.0)


@pytest.mark.parametrize("moment", ["NaN", "Infinity", "-1", "1e300", HUGE, "true", "[]", '"x"', "null"])
def test_invalid_times_are_dropped(moment: str) -> None:
    reported = participant_events.parse(f'{{"t": {moment}, "event": "ready"}}')
    assert reported is not None
    assert reported.t is None


def test_a_reason_is_shown_without_terminal_control_characters() -> None:
    line = json.dumps({"event": "lost", "client_id": 1, "reason": "\x1b]0;title\x07" + "x" * 5000})
    reported = participant_events.parse(line)
    assert reported is not None
    assert reported.event == participant_events.ClientLost(1, "x" * 990)


def test_metrics_with_unencodable_names_can_be_written() -> None:
    line = '{"event": "result", "round": 1, "stage": "evaluation", "scope": "avg", "metrics": {"\\ud800": 1}}'
    reported = participant_events.parse(line)
    assert reported is not None
    assert reported.event == participant_events.Result(1, "evaluation", "avg", {"?": 1.0})


def test_results_with_unencodable_names_can_be_written() -> None:
    result = parse(PREFIX + "{'Role': 'Server #', 'Round': 1, 'Results_avg': {'\\ud800': 1}}")
    assert result is not None
    assert result.results == {"avg": {"?": 1.0}}


@pytest.mark.parametrize(
    "line",
    [
        '{"what": "train", "round": 1, "t": 1' + "0" * 400 + "}",
        '{"what": "train", "round": 1' + "0" * 400 + "}",
        '{"what": "train", "round": NaN, "t": NaN}',
        '{"what": "train", "round": true, "t": Infinity, "peer": [], "kind": {}}',
        '{"what": "send", "kind": "' + "x" * 100_000 + '"}',
        '{"what": {"what": "train"}}',
        "[" * 100_000,
        "1" * 5000,
        "\x00\xff",
    ],
)
def test_activity_lines(line: str) -> None:
    activities = Activities(["hub"], "hub")
    activities.feed("hub", line)
    assert activities.state("hub", None) in (None, "training")
    assert activities.round("hub") in (None, -1, 1)


@pytest.mark.parametrize("what", activity.STEPS)
def test_the_lines_of_a_participant_are_read_without_a_json_parser_and_alike(
    tmp_path: Path, what: activity.Step
) -> None:
    steps = activity.Activity(tmp_path)
    steps.note(what, kind="model_para", round=0, peer=12, size=1234)
    steps.note(what, round=3)
    steps.note(what, peer=0)
    steps.note(what)
    steps.close()
    for line in (tmp_path / activity.ACTIVITY).read_text().splitlines():
        assert activities._USUAL.fullmatch(line), line
        assert activities._parse(line) == activities._parse_json(line) is not None


def test_very_many_folders_are_not_all_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(tail._MOST_ENTRIES + 500):
        (tmp_path / f"course_{number}").mkdir()
    looked: list[Path] = []
    monkeypatch.setattr(tail.Tail, "_look_into", lambda self, folder: looked.append(folder))
    assert list(tail.Tail(tmp_path).lines()) == []
    assert len(looked) <= 1 + tail._MOST_FILES
