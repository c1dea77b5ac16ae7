"""The course of a run from its journal: on the lab host while it lasts, in its run folder afterwards."""

from __future__ import annotations

import time
from pathlib import Path

from fedsim_runner.contract.course_state import CourseState
from fedsim_runner.contract.events import Event, parse_line
from fedsim_runner.contract.paths import JOURNAL, STATE_ROOT, StateFolder

from .installation import RunningCommand

# Reading a journal of hundreds of devices takes a core some milliseconds.
POLL_S = 0.5


def read_events(journal: Path) -> list[Event]:
    """Return the events so far; none if there is no journal yet."""
    lines = journal.read_text(encoding="utf-8").splitlines() if journal.exists() else []
    return [event for event in map(parse_line, lines) if event is not None]


def events_of(folder: Path, run: str) -> list[Event]:
    """Return the events of a run that is over; ``folder``: where its command was called."""
    return read_events(folder / "runs" / run / JOURNAL)


def course_now(run: str) -> CourseState:
    """Return the state of a course that runs on this machine."""
    return CourseState().apply_all(read_events(StateFolder(STATE_ROOT / run).journal))


def wait_for_round(command: RunningCommand, run: str, number: int, limit_s: float) -> None:
    """Wait until a round has begun; rounds count from 1.

    Raises:
        SystemExit: the command ended before that, or it took too long.
    """
    end = time.monotonic() + limit_s
    while time.monotonic() < end and command.process.poll() is None:
        if course_now(run).round >= number:
            return
        time.sleep(POLL_S)
    raise SystemExit(f"round {number} of {run} did not begin in {limit_s:g} s\n{command.output}")
