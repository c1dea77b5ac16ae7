"""Why a participant's process ended, as text."""

from __future__ import annotations

import signal
from collections.abc import Iterable


def last_line(lines: Iterable[str]) -> str:
    """The last line a participant logged."""
    text = [line.strip() for line in lines if line.strip()]
    return text[-1] if text else "no output"


def exit_reason(exit_code: int, oom_killed: bool, lines: Iterable[str]) -> str:
    """Why a process ended, as a sentence."""
    if oom_killed:
        return f"killed for lack of memory: its memory limit was reached (exit code {exit_code})"
    number = exit_code - 128 if exit_code > 128 else -exit_code
    if number > 0:
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        return f"ended by {name} (exit code {exit_code})"
    if exit_code == 0:
        return "ended before the course was over (exit code 0)"
    return f"ended with exit code {exit_code}: {last_line(lines)}"
