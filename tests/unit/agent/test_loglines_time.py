"""Journal events carry the time at which the participant wrote the line, not at which the agent read it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fedsim_runner.agent.course.loglines import stamped, written_at
from fedsim_runner.contract import events

LINE = "2026-11-24 09:56:01,494 (server:82) INFO: ----------- Starting training (Round #0) -------------"


def test_a_log_line_has_its_own_time() -> None:
    assert written_at(LINE) == datetime(2026, 11, 24, 9, 56, 1, 494000).timestamp()
    assert written_at(f"\x1b[38;5;39m{LINE}\x1b[0m") == written_at(LINE)


def test_a_traceback_has_none_and_keeps_the_readers() -> None:
    assert written_at("Traceback (most recent call last):") is None
    assert stamped_dicts({"event": "x"}, "Traceback (most recent call last):") == [{"event": "x"}]
    assert stamped_dicts({"event": "x"}, LINE) == [{"t": written_at(LINE), "event": "x"}]


def stamped_dicts(event: dict[str, Any], line: str) -> list[dict[str, Any]]:
    typed = events.parse(event)
    assert typed is not None
    return [item.as_dict() for item in stamped([typed], line)]
