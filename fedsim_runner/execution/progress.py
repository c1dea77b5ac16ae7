"""Progress for people: stages with their time, a line per round, who is doing what; plain lines without a terminal."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.status import Status

SHOWN_LAST_LINES = 8
# Journal events after which a device is in a state worth counting.
STATES = {
    "device_started": "started",
    "device_ready": "ready",
    "device_joined": "joined",
    "device_finished": "finished",
}
# An Engine outlives the run, so it is told.
ENGINE_STARTS = "no Docker Engine answers: starting the one that is installed"
ENGINE_COMES = "no Docker Engine is installed: installing docker.io, which stays, and starting it"


class Progress:
    """A :class:`~fedsim_runner.execution.events.Listener` that prints. Safe to call from several threads.

    Use as a context manager, so that the terminal is given back in every case.
    """

    def __init__(self, console: Console, total_rounds: int, unshaped: bool = False) -> None:
        """``unshaped``: it is known beforehand that no links will be in force."""
        self._console = console
        self._total_rounds = total_rounds
        self._lock = threading.RLock()
        self._stage: str | None = None
        self._stage_began = 0.0
        self._status: Status | None = None
        self._states: dict[str, str] = {}
        self._links = 0
        self._unshaped = unshaped
        self._clock: float | None = None  # when the round in training began, in the journal's time

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def stage(self, name: str) -> None:
        """A stage begins, which ends the one before."""
        with self._lock:
            self._end_stage()
            self._stage, self._stage_began = name, time.monotonic()
            if self._console.is_terminal:
                self._status = self._console.status(f"{escape(name)} ...")
                self._status.start()
            else:
                self._console.print(f"{name} ...", markup=False, highlight=False)

    def close(self, failed: bool = False) -> None:
        """The last stage is over. Safe to call twice."""
        with self._lock:
            self._end_stage(failed)

    def note(self, text: str, style: str | None = None) -> None:
        """One line that is not tied to a stage."""
        with self._lock:
            self._console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    def news(self, event: Mapping[str, Any]) -> None:
        """A journal event."""
        with self._lock:
            self._count(event)
            text = self._describe(event)
            if text is not None:
                style = "red" if event["event"] == "course_failed" else None
                self.note("  " + text, style)
            self._update()

    def _end_stage(self, failed: bool = False) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None
        if self._stage is None:
            return
        seconds = time.monotonic() - self._stage_began
        mark = "failed after" if failed else "done in"
        if self._console.is_terminal:
            sign = "[red]✗[/]" if failed else "[green]✓[/]"
            self._console.print(f"{sign} {escape(self._stage)} [dim]{seconds:.1f} s[/]", highlight=False)
        else:
            self._console.print(f"{self._stage} {mark} {seconds:.1f} s", markup=False, highlight=False)
        self._stage = None

    def _count(self, event: Mapping[str, Any]) -> None:
        kind, device = event["event"], event.get("device")
        if device is not None and kind in STATES:
            self._states[device] = STATES[kind]
        elif device is not None and kind == "device_exited" and self._states.get(device) != "finished":
            self._states[device] = "exited"
        elif kind == "link_shaped":
            self._links += 1
        elif kind == "round_started" and self._clock is None:
            self._clock = _time(event)

    def _update(self) -> None:
        if self._status is None:
            return
        counts = Counter(self._states.values())
        parts = [f"{count} {state}" for state, count in sorted(counts.items())]
        if not counts and self._links:
            parts = [f"{self._links} links shaped"]
        detail = ", ".join(parts)
        self._status.update(f"{escape(self._stage or '')} ... [dim]{escape(detail)}[/]")

    def _describe(self, event: Mapping[str, Any]) -> str | None:
        device = event.get("device")
        match event["event"]:
            case "engine_wanted":
                return ENGINE_STARTS if event.get("installed") else ENGINE_COMES
            case "agent_started":
                return f"link back end: {event.get('backend') or 'none'} (kernel {event.get('kernel', 'unknown')})"
            case "link_reapplied":
                return f"{device}: link shaped again after a restart"
            case "link_failed":
                return f"{device}: its link could not be shaped: {event.get('reason')}"
            case "links_unshaped":
                self._unshaped = True
                return f"links are not shaped (--allow-unshaped): {event.get('reason')}"
            case "gate_opened":
                return "the gate is open" if self._unshaped else "all links are in force, the gate is open"
            case "device_joined" if not self._console.is_terminal:
                return f"{device} joined"
            case "round_started" if event.get("round") == 1:
                return "training starts"
            case "evaluated":
                return self._round_line(event)
            case "training_finished":
                return "training finished, final evaluation"
            case "device_exited" if event.get("exit_code") or event.get("oom_killed"):
                memory = " (memory limit reached)" if event.get("oom_killed") else ""
                return f"{device} exited with {event.get('exit_code')}{memory}"
            case "course_failed":
                return failure_lines(event)
        return None

    def _round_line(self, event: Mapping[str, Any]) -> str:
        now = _time(event)
        seconds = "" if self._clock is None or now is None else f"  {now - self._clock:.2f} s"
        self._clock = now
        results = event.get("results") or {}
        shown = [
            f"{label} {results[key]:.4f}"
            for key, label in (("test_acc", "accuracy"), ("test_avg_loss", "loss"), ("val_acc", "validation accuracy"))
            if isinstance(results.get(key), int | float)
        ]
        return f"round {event.get('round')}/{self._total_rounds}  {'  '.join(shown)}{seconds}"


def failure_lines(event: Mapping[str, Any]) -> str:
    """A ``course_failed`` event with the participant's last lines."""
    device = event.get("device")
    reason = str(event.get("reason") or "no reason given")
    text = f"{device}: {reason}" if device and device not in reason else reason
    lines = [str(line) for line in event.get("last_lines") or []][-SHOWN_LAST_LINES:]
    return "\n".join([f"the course failed: {text}", *(f"    | {line}" for line in lines)])


def _time(event: Mapping[str, Any]) -> float | None:
    value = event.get("t")
    return float(value) if isinstance(value, int | float) else None
