"""Progress for people: stages with their time, a line per round, who is doing what; plain lines without a terminal.

On a terminal the course is a live table below these lines (see :mod:`fedsim_runner.console.live`).
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.status import Status

from ..contract.lenient import number, whole
from .live import CourseNow, CourseView, DeviceNow, accuracy_of, counts_now, devices_now

SHOWN_LAST_LINES = 8
SHOWN_LATE = 4
# The stage in which devices work; the table is drawn this often a second, so that its clock goes smoothly.
LIVE_STAGE = "course"
DRAWN_PER_SECOND = 2
# Journal events after which a device is in a state worth counting.
STATES = {
    "device_started": "started",
    "device_ready": "ready",
    "device_joined": "joined",
    "device_finished": "finished",
    "client_lost": "lost",
}
ENDED = ("finished", "lost")
NEWS_STYLES = {"course_failed": "red", "client_lost": "red", "link_failed": "red"}
# An Engine outlives the run, so it is told.
ENGINE_STARTS = "no Docker Engine answers: starting the one that is installed"
ENGINE_COMES = "no Docker Engine is installed: installing docker.io, which stays, and starting it"


class Progress:
    """A :class:`~fedsim_runner.testbed.docker.ansible_events.Listener` that prints. Safe to call from several threads.

    Use as a context manager, so that the terminal is given back in every case.
    """

    def __init__(
        self,
        console: Console,
        total_rounds: int,
        unshaped: bool = False,
        run: str = "",
        devices: Sequence[DeviceNow] = (),
    ) -> None:
        """``unshaped``: it is known beforehand that no links will be in force. ``devices``: before any news of them."""
        self._console = console
        self._total_rounds = total_rounds
        self._lock = threading.RLock()
        self._stage: str | None = None
        self._stage_began = 0.0
        self._status: Status | None = None
        self._live: Live | None = None
        # Replaced, never changed: the thread that draws must not wait for the lock of one that prints.
        self._course = CourseNow(run, None, 0, total_rounds, devices=tuple(devices), counts=counts_now(None, devices))
        self._deadlines: list[Mapping[str, Any]] = []
        self._late: list[str] = []
        self._seen: float | None = None  # the time of the last snapshot
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
            if self._console.is_terminal and name == LIVE_STAGE:
                self._live = Live(
                    get_renderable=self._view,
                    console=self._console,
                    refresh_per_second=DRAWN_PER_SECOND,
                    transient=True,
                    vertical_overflow="crop",
                )
                self._live.start()
            elif self._console.is_terminal:
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
            if event["event"] in ("training_finished", "course_failed"):
                self._tell_deadlines()
            text = self._describe(event)
            if text is not None:
                self.note("  " + text, NEWS_STYLES.get(event["event"]))
            self._update()

    def snapshot(self, snapshot: Mapping[str, Any]) -> None:
        """What the devices do right now. One that is older than the last is dropped."""
        with self._lock:
            moment = number(snapshot.get("t"))
            if moment is not None and self._seen is not None and moment < self._seen:
                return
            self._seen = moment
            devices = devices_now(snapshot.get("devices"))
            known = self._course
            accuracy = accuracy_of(snapshot.get("results"))
            self._course = replace(
                known,
                state=str(snapshot["state"]) if snapshot.get("state") else known.state,
                round=whole(snapshot.get("round")) if snapshot.get("round") is not None else known.round,
                total_rounds=whole(snapshot.get("total_rounds")) or known.total_rounds,
                accuracy=known.accuracy if accuracy is None else accuracy,
                devices=devices or known.devices,
                counts=counts_now(snapshot.get("counts"), devices),
            )

    def _view(self) -> CourseView:
        return CourseView(replace(self._course, elapsed_s=time.monotonic() - self._stage_began))

    def _tell_deadlines(self) -> None:
        """What no round's line has told."""
        if text := self._deadline_text():
            self.note(f"  {text}", "yellow")

    def _deadline_text(self) -> str:
        """Rounds that met their deadline and updates that came too late since the last line, however many."""
        deadlines, late = self._deadlines, list(dict.fromkeys(self._late))
        parts = []
        if len(deadlines) == 1:
            parts.append(f"deadline: {deadlines[0].get('arrived')} of {deadlines[0].get('wanted')} updates")
        elif deadlines:
            parts.append(f"deadline in {len(deadlines)} rounds")
        if late:
            more = f" and {len(late) - SHOWN_LATE} more" if len(late) > SHOWN_LATE else ""
            parts.append(f"too late, dropped: {', '.join(late[:SHOWN_LATE])}{more}")
        self._deadlines, self._late = [], []
        return "  ".join(parts)

    def _end_stage(self, failed: bool = False) -> None:
        self._tell_deadlines()
        for shown in (self._live, self._status):
            if shown is not None:
                shown.stop()
        self._live = self._status = None
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
        elif device is not None and kind == "device_exited" and self._states.get(device) not in ENDED:
            self._states[device] = "exited"
        elif kind == "link_shaped":
            self._links += 1
        elif kind == "round_started" and self._clock is None:
            self._clock = _time(event)

    def _update(self) -> None:
        """Take what the news say into what is drawn."""
        counts = Counter(self._states.values())
        if self._seen is None:
            known = {device.name: device for device in self._course.devices}
            for name, state in self._states.items():
                known[name] = replace(known.get(name) or DeviceNow(name, state), state=state)
            devices = tuple(known.values())
            self._course = replace(self._course, devices=devices, counts=counts_now(None, devices))
        if self._status is None:
            return
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
                self._course = replace(self._course, backend=event.get("backend"))
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
            case "round_started":
                self._course = replace(self._course, round=whole(event.get("round")))
                return "training starts" if event.get("round") == 1 else None
            case "evaluated":
                return self._round_line(event)
            case "training_finished":
                return "training finished, final evaluation"
            case "device_exited" if event.get("exit_code") or event.get("oom_killed"):
                memory = " (memory limit reached)" if event.get("oom_killed") else ""
                return f"{device} exited with {event.get('exit_code')}{memory}"
            case "round_deadline":
                self._deadlines.append(event)
            case "update_late":
                self._late.append(str(event.get("device") or "a client"))
            case "client_lost":
                return lost_lines(event)
            case "course_failed":
                return failure_lines(event)
        return None

    def _round_line(self, event: Mapping[str, Any]) -> str:
        now = _time(event)
        seconds = "" if self._clock is None or now is None else f"  {now - self._clock:.2f} s"
        self._clock = now
        results = event.get("results") or {}
        accuracy = accuracy_of(results)
        if accuracy is not None:
            accuracies = (*self._course.accuracies, accuracy)
            self._course = replace(self._course, accuracy=accuracy, accuracies=accuracies)
        shown = [
            f"{label} {results[key]:.4f}"
            for key, label in (("test_acc", "accuracy"), ("test_avg_loss", "loss"), ("val_acc", "validation accuracy"))
            if isinstance(results.get(key), int | float)
        ]
        deadline = self._deadline_text()
        return f"round {event.get('round')}/{self._total_rounds}  {'  '.join(shown)}{seconds}" + (
            f"  {deadline}" if deadline else ""
        )


def failure_lines(event: Mapping[str, Any]) -> str:
    """A ``course_failed`` event with the participant's last lines."""
    device = event.get("device")
    reason = str(event.get("reason") or "no reason given")
    text = f"{device}: {reason}" if device and device not in reason else reason
    return "\n".join([f"the course failed: {text}", *_last_lines(event)])


def lost_lines(event: Mapping[str, Any]) -> str:
    """A ``client_lost`` event: the course goes on without it."""
    reason = str(event.get("reason") or "no reason given")
    return "\n".join([f"{event.get('device')} is lost, the course goes on: {reason}", *_last_lines(event)])


def _last_lines(event: Mapping[str, Any]) -> list[str]:
    return [f"    | {line}" for line in (event.get("last_lines") or [])[-SHOWN_LAST_LINES:]]


def _time(event: Mapping[str, Any]) -> float | None:
    value = event.get("t")
    return float(value) if isinstance(value, int | float) else None
