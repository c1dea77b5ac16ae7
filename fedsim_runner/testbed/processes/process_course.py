"""A course of child processes, started, supervised, sampled and ended here: there is no agent to do it."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from fedsim_runner.agent.course import snapshot
from fedsim_runner.agent.course.gate_files import Gate
from fedsim_runner.agent.course.limits import Limits
from fedsim_runner.agent.course.loading import Loading
from fedsim_runner.agent.course.reports import Reports
from fedsim_runner.agent.course.supervision import Supervisor
from fedsim_runner.agent.host.device_usage import Usage
from fedsim_runner.agent.host.host_load import HostLoad
from fedsim_runner.agent.host.samples import HEADER
from fedsim_runner.contract.course_state import Outcome
from fedsim_runner.contract.events import ClientLost, DeviceStarted, Event, GateOpened
from fedsim_runner.contract.paths import HOST_LOAD, JOURNAL, METRICS, StateFolder
from fedsim_runner.contract.work_steps import waits_idle
from fedsim_runner.engines.engine_values import Interpreter
from fedsim_runner.plan.model import Plan

from ..values import Listener
from .children import Participant, Processes, last_lines, reading

PAUSE_S = 0.05
SAMPLE_EVERY_S = 1.0


class Course:
    """A course from start to end; :meth:`end` leaves no child behind.

    Args:
        plan: the plan of the run.
        participants: all participants.
        pythons: interpreters by engine; this process's own for an engine that is not listed.
        folder: the run's folder.
    """

    def __init__(
        self,
        plan: Plan,
        participants: Sequence[Participant],
        pythons: Mapping[str, Interpreter],
        folder: Path,
    ) -> None:
        self._plan = plan
        # Clients first: their log lines come before the server's answer to them.
        self._participants = sorted(participants, key=lambda one: one.role)
        self._addresses = {one.name: one.address for one in participants}
        self._folder = folder
        # The gate lies in the run folder as it does in a lab host's state folder.
        self._state = StateFolder(folder)
        self._gate = Gate(self._state)
        self._processes = Processes(plan.run, self._state.gate, pythons)
        self._reports = {one.name: Reports(one.name, one.out) for one in participants}
        self._usage = Usage(plan.experiment.course.silence_timeout_s)
        patches_off = plan.experiment.patches_off
        self._busy_waiters = frozenset(one.name for one in participants if not waits_idle(one.engine, patches_off))
        self._stack = ExitStack()
        self._supervised: Supervisor | None = None

    @property
    def _supervisor(self) -> Supervisor:
        assert self._supervised is not None, "a course is followed only after its gate was to be opened"
        return self._supervised

    def start(self, listener: Listener) -> None:
        """Start all participants, which wait at the gate; ``listener`` gets every journal event from now on."""
        self._listener = listener
        self._state.gate.mkdir(exist_ok=True)
        self._gate.shut()
        self._gate.forget_admissions()
        self._gate.forget_lost()
        self._stack.callback(self._close_reports)
        self._journal = self._stack.enter_context((self._folder / JOURNAL).open("w", encoding="utf-8"))
        metrics = self._stack.enter_context((self._folder / METRICS).open("w", encoding="utf-8", newline=""))
        self._metrics = csv.DictWriter(metrics, HEADER.split(","), lineterminator="\n")
        self._metrics.writeheader()
        (self._folder / HOST_LOAD).unlink(missing_ok=True)
        self._host_load = HostLoad(self._folder / HOST_LOAD)
        self._stack.callback(self._host_load.close)
        self._stack.enter_context(self._processes)
        for one in self._participants:
            self._processes.start(one)
            self._record(DeviceStarted(one.name))

    def open(self) -> None:
        """Let the participants load their engines, after which the gate opens; safe to call twice."""
        if self._supervised is not None:
            return
        limits = self._plan.experiment.course
        self._supervised = Supervisor(
            {one.name: one.role for one in self._participants},
            self._plan.experiment.total_rounds,
            Limits(
                limits.timeout_s,
                limits.silence_timeout_s,
                go_on=limits.on_client_failure == "continue",
                min_clients=limits.min_clients,
            ),
        )
        self._loading = Loading(
            self._gate,
            self._supervised,
            {one.name: one.start_cpu_s for one in self._participants},
            {},
            lift=_without_limits,
            restore=_without_limits,
        )
        self._record(self._loading.began())
        self._load(time.monotonic())

    def _load(self, now: float) -> None:
        """Admit the next participants, or open the gate once all have loaded."""
        self._record_all(self._loading.step(now))
        supervisor = self._supervisor
        if self._loading.is_done and not supervisor.is_open and supervisor.outcome is None:
            open_at = time.time()
            self._gate.open(open_at)
            supervisor.open(now)
            self._record(GateOpened(open_at))

    def follow(self, listener: Listener) -> Outcome | None:
        """Follow a course whose participants load or take part; return how it ended, None if it was cancelled."""
        self._listener = listener
        supervisor = self._supervisor
        sampled = 0.0
        exited: set[str] = set()
        while supervisor.outcome is None:
            if listener.cancelled():
                return None
            now = time.monotonic()
            if now - sampled >= SAMPLE_EVERY_S:
                sampled = now
                self._sample(now)
            for one in self._participants:
                # Asked first, so that the lines written before the exit are read before the exit is reported.
                code = self._processes.exit_code(one.name)
                self._read(one.name, now)
                if code is not None and one.name not in exited:
                    exited.add(one.name)
                    last = last_lines(one.out / "console.log")
                    self._record_all(supervisor.feed_exit(one.name, code, False, now, last))
            if not supervisor.is_open:
                self._load(now)
            self._record_all(supervisor.tick(now))
            time.sleep(PAUSE_S)
        listener.snapshot(self._snapshot())
        return supervisor.outcome

    def end(self) -> None:
        """End all participants; safe to call twice."""
        self._stack.close()

    def _close_reports(self) -> None:
        for reports in self._reports.values():
            reports.close()

    def _read(self, name: str, now: float) -> None:
        self._record_all(self._reports[name].feed(self._supervisor, now))

    def _sample(self, now: float) -> None:
        moment = round(time.time(), 3)
        figures = self._processes.figures()
        for name, used in figures.items():
            self._metrics.writerow({"t": moment, "device": name, **used})
        self._host_load.write(moment)
        self._usage.add(now, {name: reading(used) for name, used in figures.items()})
        for name in figures:
            self._supervisor.feed_frozen(name, self._processes.frozen(name), now)
            state, waits_idle = self._supervisor.live_state(name), name not in self._busy_waiters
            if self._usage.is_working(name, state, None, now, waits_idle=waits_idle):
                self._supervisor.feed_heartbeat(name, now)
        self._listener.snapshot(self._snapshot())

    def _snapshot(self) -> dict[str, Any]:
        supervisor = self._supervisor
        # The server comes first, as on a lab host.
        names = [one.name for one in sorted(self._participants, key=lambda one: one.role, reverse=True)]
        devices = {
            name: snapshot.device_part(
                name, supervisor.live_state(name), supervisor.device_round(name), self._usage, None, None
            )
            for name in names
        }
        return {
            "t": round(time.time(), 3),
            "state": snapshot.run_state(supervisor, final=True),
            **snapshot.course_part(supervisor, supervisor.total_rounds),
            "backend": None,
            "counts": snapshot.counts(devices.values()),
            "devices": devices,
        }

    def _record_all(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, ClientLost) and event.device is not None:
                self._lose(event.device)
            self._record(event)

    def _lose(self, name: str) -> None:
        """Announce the lost client to the server and end it, so that it does not wake up and disturb the course.

        All clients share the name of this machine, so the server also identifies them by their ports.
        """
        lost = self._supervisor.lost
        by_address = {self._addresses[device]: reason for device, reason in lost.items() if self._addresses[device]}
        self._gate.announce_lost({**lost, **by_address})
        self._processes.kill(name)

    def _record(self, event: Event) -> None:
        timed = event if event.t is not None else replace(event, t=round(time.time(), 6))
        self._journal.write(timed.to_line())
        self._journal.flush()
        self._listener.event(timed.as_dict())


def _without_limits(name: str) -> None:
    """A plain process has no CPU limit that could be lifted."""
