"""A participant writes what it likes: no line of its makes the agent fail, or keeps it busy."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from fedsim_runner.agent.course.activities import Activities
from fedsim_runner.agent.course.loglines import parse, stamped
from fedsim_runner.agent.course.supervision import Limits, Supervisor
from fedsim_runner.contract import events as journal

PREFIX = "2026-01-02 10:00:00,123 (server:442) INFO: "
DIGITS = "9" * 5000
RESULT = "{{'Role': 'Server #', 'Round': {}, 'Results_avg': {{'acc': {}}}}}"

LINES = {
    "round of 5000 digits": f"Starting training (Round #{DIGITS})",
    "port of 5000 digits": f"Server: Listen to 0.0.0.0:{DIGITS}...",
    "lost client of 5000 digits": f"Server: Client #{DIGITS} (a) is lost: x; going on with 1 clients",
    "result's round of 5000 digits": RESULT.format(DIGITS, 1),
    "result's round in hexadecimal": RESULT.format("0x" + "f" * 50_000, 1),
    "result's round below all": RESULT.format("-" + "9" * 4000, 1),
    "metric that is no float": RESULT.format(1, "1" + "0" * 400),
    "minus a text": RESULT.format("-'a'", 1),
    "a list as key": RESULT.format("{[1]: 2}", 1),
    "nested too deeply": RESULT.format("-" * 100_000 + "1", 1),
    "half a result after the other": "{'Role': 'Server #'" * 50_000,
    "half a lost client after the other": "Server: Client #1 (" * 50_000,
    "a list without end": RESULT.format("[" + "1," * 400_000 + "]", 1),
}


@pytest.mark.parametrize("name", LINES)
def test_log_lines(name: str) -> None:
    supervisor = Supervisor({"hub": "server"}, 3, Limits(1e9, 1e9), 0.0)
    begun = time.process_time()
    events = [event.as_dict() for event in supervisor.feed_line("hub", PREFIX + LINES[name], 1.0)]
    assert time.process_time() - begun < 1
    assert all(event["event"] == "evaluated" for event in events)
    assert supervisor.round <= 3
    json.dumps(events, allow_nan=False)


@pytest.mark.parametrize("moment", ["2026-99-99 99:99:99,999", "0001-01-01 00:00:00,000", "2026-01-01 1::::::1,000"])
def test_times_that_are_none(moment: str) -> None:
    line = f"{moment} (server:442) INFO: Starting training (Round #0)"
    assert [event["event"] for event in stamped_dicts({"event": "x"}, line)] == ["x"]


def test_names_can_be_written() -> None:
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


def stamped_dicts(event: dict[str, Any], line: str) -> list[dict[str, Any]]:
    typed = journal.parse(event)
    assert typed is not None
    return [item.as_dict() for item in stamped([typed], line)]
