"""Progress for people: stages with their duration, a line per round, and what the devices do; plain lines without a
terminal. On a terminal the course is a live table below these lines (see :mod:`fedsim_runner.console.live`).
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from rich.console import Console

from ..contract.course_state import CourseState, later
from ..contract.events import (
    ClientResult,
    CourseFailed,
    DeviceExited,
    DeviceJoined,
    DeviceMissedEnd,
    DeviceReady,
    Evaluated,
    Event,
    GateOpened,
    parse,
)
from ..contract.lenient import number
from .course_now import CourseNow, DeviceNow, count_states
from .event_lines import BAD, DOUBTFUL, OF_LAB_HOSTS, Missed, describe_event, describe_round
from .keys import Key, Keys
from .live import CourseView, Window
from .round_lines import RoundLines, describe_span
from .snapshots import Snapshots
from .standard_stream import loss_of, outlived
from .status_line import StatusLine

# From so many devices on, what each of them does is reported in quarters.
MANY = 20


class Progress:
    """A :class:`~fedsim_runner.testbed.docker.ansible_events.Listener` that prints. Safe to call from several threads.

    Use it as a context manager, so that the terminal is restored in every case.
    """

    def __init__(
        self,
        console: Console,
        total_rounds: int,
        unshaped: bool = False,
        run: str = "",
        devices: Sequence[DeviceNow] = (),
        live_stages: Collection[str] = (),
        on_several: bool = False,
    ) -> None:
        """Create it; nothing is shown yet.

        Args:
            total_rounds: rounds of the course; 0: taken from its snapshots.
            unshaped: it is known from the start that no links will be in force.
            devices: the devices as planned, before any event.
            live_stages: stages in which devices are working, so that a terminal shows each device.
            on_several: the run has several lab hosts, so lines about one of them say which.
        """
        self._console = console
        self._total_rounds = total_rounds
        self._unshaped = unshaped
        self._on_several = on_several
        self._lock = threading.RLock()
        self._line = StatusLine(console)
        self._state = CourseState()
        self._missed = Missed()
        self._left_out: set[str | None] = set()  # devices that were offline when the course ended
        self._planned = {device.name: device for device in devices}
        self._seen = Snapshots()
        # Replaced, never modified: the drawing thread must not wait for the lock of a printing one.
        self._course = CourseNow(run, None, 0, total_rounds, devices=tuple(devices), counts=count_states(None, devices))
        self._live_stages = frozenset(live_stages)
        self._rounds = RoundLines()
        self._keys = Keys(self._pressed)
        self._window = Window(self._keys.available)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def output_lost(self) -> bool:
        """Whether what is printed no longer gets anywhere."""
        return loss_of(self._console.file) is not None

    def outliving_output(self) -> AbstractContextManager[None]:
        """A block in which output may be lost without an error."""
        return outlived(self._console.file)

    def stage(self, name: str) -> None:
        """Begin a stage, which ends the previous one."""
        with self._lock:
            self._print_missed()
            live = name in self._live_stages and self._console.is_terminal
            self._line.begin(name, self._view if live else None)
        if live:
            self._keys.start()
        else:
            self._keys.stop()

    def close(self, failed: bool = False) -> None:
        """End the last stage. Safe to call twice."""
        self._keys.stop()
        with self._lock:
            self._print_missed()
            self._line.end(failed)

    def note(self, text: str, style: str | None = None) -> None:
        """Print one line that does not belong to a stage."""
        with self._lock:
            self._console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    def detail(self, text: str) -> None:
        """Show what there is to say about the stage: on a terminal next to its name, elsewhere in a line."""
        with self._lock:
            if self._console.is_terminal:
                self._line.detail(text)
            else:
                self.note(f"  {text}")

    def event(self, event: Mapping[str, Any]) -> None:
        """Process an event of the journal."""
        typed = parse(event)
        if typed is None:
            return
        with self._lock:
            began = self._state.last_step
            self._state.apply(typed)
            self._missed.add(typed)
            if isinstance(typed, CourseFailed):
                self._print_missed()
            line = self._line_of(typed, began)
            if not isinstance(typed, ClientResult):  # frequent, and not drawn
                self._update()  # first, as printing draws the view again
            if line is not None:
                if self._on_several and isinstance(typed, OF_LAB_HOSTS) and typed.lab_host:
                    line = f"{typed.lab_host}: {line}"
                style = "red" if isinstance(typed, BAD) else "yellow" if isinstance(typed, DOUBTFUL) else None
                self.note("  " + line, style)
            self._rounds.add(typed)
            if line is not None and isinstance(typed, Evaluated):
                self._rounds.has_printed(typed.t)
            self._print_round(typed.t)

    def snapshot(self, snapshot: Mapping[str, Any]) -> None:
        """Process the current state of a lab host's devices. A snapshot older than the last one is dropped."""
        with self._lock:
            if self._seen.add(snapshot):
                self._update()
                self._print_round(number(snapshot.get("t")))

    def _view(self) -> CourseView:
        return CourseView(replace(self._course, elapsed_s=self._line.seconds), window=self._window)

    def _pressed(self, key: Key) -> None:
        """Move the live view; called by the thread that reads keys, which must not wait for a printing one."""
        self._window.move(key)
        self._line.redraw()

    def _print_round(self, t: float | None) -> None:
        """Print how the round goes, where no live view shows it, if nothing was printed for a while."""
        if (
            not self._console.is_terminal
            and (line := self._rounds.due(t, self._course, self._state.time_scale)) is not None
        ):
            self.note("  " + line)

    def _line_of(self, event: Event, began: float | None) -> str | None:
        """Return the event's line; ``began``: when the round that it may end began."""
        if isinstance(event, Evaluated):
            if event.round is None:
                return None
            seconds = None if began is None or event.t is None else event.t - began
            total_rounds = self._total_rounds or self._course.total_rounds or 0
            took = None if seconds is None else describe_span(seconds, self._state.time_scale)
            return describe_round(event, total_rounds, took, self._missed.take())
        if isinstance(event, DeviceMissedEnd):
            self._left_out.add(event.device)
        elif isinstance(event, DeviceExited) and event.device in self._left_out:
            return None  # the agent has ended it with the course
        unshaped = self._unshaped or bool(self._state.unshaped)
        line = describe_event(event, unshaped, each_device=not self._console.is_terminal)
        if isinstance(event, GateOpened):
            loading = self._state.loading.get(self._state.host_of(event))
            if loading is not None and loading.t is not None and event.t is not None:
                line = f"{line} ({loading.devices} loaded in {event.t - loading.t:.1f} s)"
        elif isinstance(event, DeviceReady) and not self._console.is_terminal:
            line = self._describe_loaded()
        elif isinstance(event, DeviceJoined) and len(self._planned) > MANY:
            line = self._describe_joined() if line is not None else None
        return line

    def _describe_loaded(self) -> str | None:
        """Return a line after each quarter of many participants that load."""
        ready, total = self._state.loaded or (0, 0)
        return f"loading {ready} of {total}" if total >= MANY and ready < total and _is_quarter(ready, total) else None

    def _describe_joined(self) -> str | None:
        """Return a line after each quarter of many clients that join."""
        joined = sum(device.client_id is not None for device in self._state.devices.values())
        total = len(self._planned) - 1
        return f"{joined} of {total} clients joined" if _is_quarter(joined, total) else None

    def _print_missed(self) -> None:
        """Print what was not part of any round's line; that of the last round comes after the end of training."""
        if missed := self._missed.take():
            self.note(f"  rounds without a line: {missed}", "yellow")

    def _update(self) -> None:
        """Update what is drawn."""
        state, seen = self._state, self._seen
        devices, accuracies = self._devices(), state.accuracies
        evaluated = next((accuracy for accuracy in reversed(accuracies) if accuracy is not None), None)
        self._course = replace(
            self._course,
            state=seen.state or self._course.state,
            round=max(state.round, seen.round),
            total_rounds=seen.total_rounds or self._course.total_rounds,
            # The events are those of the lines above the view.
            accuracy=seen.accuracy if evaluated is None else evaluated,
            accuracies=accuracies,
            time_factor=state.time_scale.factor,
            device_s=self._device_time(),
            backend=state.link_backend,
            devices=devices,
            counts=seen.counts or count_states(None, devices),
        )
        counts = [f"{count} {reached}" for reached, count in sorted(state.device_counts.items())]
        shaped = f"{len(state.shaped)} links shaped" if state.shaped else ""
        loaded = "" if state.loaded is None else "loading {} of {}".format(*state.loaded)
        self._line.detail(loaded or ", ".join(counts) or shaped)

    def _device_time(self) -> float | None:
        """Return how much device time has passed since the gate opened; None in real time, and before that."""
        scale, gate = self._state.time_scale, self._state.gate_opens
        now = later(self._seen.t, self._state.last_t)
        return None if scale.is_real or gate is None or now is None else scale.to_device(max(0.0, now - gate))

    def _devices(self) -> tuple[DeviceNow, ...]:
        """Return the devices from the snapshots, in the plan's order; before the first snapshot, from the events."""
        if found := self._seen.devices:
            order = {known: index for index, known in enumerate(self._planned)}
            return tuple(sorted(found, key=lambda device: order.get(device.name, len(order))))
        known = dict(self._planned)
        for name, device in self._state.devices.items():
            if device.state is not None:
                known[name] = replace(known.get(name) or DeviceNow(name, ""), state=device.state)
        return tuple(known.values())


def _is_quarter(reached: int, total: int) -> bool:
    quarter = total // 4
    return reached == total or (reached % quarter == 0 and total - reached >= quarter)
