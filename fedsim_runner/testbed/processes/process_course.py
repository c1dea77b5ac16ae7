"""A course of child processes: started, let go together, listened to, sampled, ended. No agent: this does its work."""

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
from fedsim_runner.agent.course.reports import Reports
from fedsim_runner.agent.course.supervision import Limits, Supervisor
from fedsim_runner.agent.host.device_usage import Usage
from fedsim_runner.agent.host.samples import HEADER
from fedsim_runner.contract.course_state import Outcome
from fedsim_runner.contract.events import ClientLost, DeviceStarted, Event, GateOpened
from fedsim_runner.contract.paths import JOURNAL, METRICS, StateFolder
from fedsim_runner.engines.engine_values import Interpreter
from fedsim_runner.plan.model import Plan

from ..values import Listener
from .children import Participant, Processes, last_lines, reading

PAUSE_S = 0.05
SAMPLE_EVERY_S = 1.0


class Course:
    """One course from start to end; :meth:`end` leaves no child behind.

    Args:
        plan: whose course it is.
        participants: all of them.
        pythons: interpreters by engine; this one where an engine is not named.
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
        # Clients first: what they log comes before the server's answer to it.
        self._participants = sorted(participants, key=lambda one: one.role)
        self._addresses = {one.name: one.address for one in participants}
        self._folder = folder
        # The gate lies in the run folder as it does in a lab host's state folder.
        self._state = StateFolder(folder)
        self._gate = Gate(self._state)
        self._processes = Processes(plan.run, self._state.gate, pythons)
        self._reports = {one.name: Reports(one.name, one.out) for one in participants}
        self._usage = Usage(plan.experiment.course.silence_timeout_s)
        self._stack = ExitStack()
        self._opened: Supervisor | None = None

    @property
    def _supervisor(self) -> Supervisor:
        assert self._opened is not None, "a course is followed when its gate is open"
        return self._opened

    def start(self, listener: Listener) -> None:
        """Start all participants, which wait at the gate; ``listener`` hears of every journal event from now on."""
        self._listener = listener
        self._state.gate.mkdir(exist_ok=True)
        self._gate.shut()
        self._gate.forget_lost()
        self._stack.callback(self._close_reports)
        self._journal = self._stack.enter_context((self._folder / JOURNAL).open("w", encoding="utf-8"))
        metrics = self._stack.enter_context((self._folder / METRICS).open("w", encoding="utf-8", newline=""))
        self._metrics = csv.DictWriter(metrics, HEADER.split(","), lineterminator="\n")
        self._metrics.writeheader()
        self._stack.enter_context(self._processes)
        for one in self._participants:
            self._processes.start(one)
            self._tell(DeviceStarted(one.name))

    def open(self) -> None:
        """Open the gate; safe twice."""
        if self._opened is not None:
            return
        limits = self._plan.experiment.course
        self._opened = Supervisor(
            {one.name: one.role for one in self._participants},
            self._plan.experiment.total_rounds,
            Limits(
                limits.timeout_s,
                limits.silence_timeout_s,
                go_on=limits.on_client_failure == "continue",
                min_clients=limits.min_clients,
            ),
            time.monotonic(),
            {one.name: one.start_cpu_s for one in self._participants},
        )
        open_at = time.time()
        self._gate.open(open_at)
        self._tell(GateOpened(open_at))

    def follow(self, listener: Listener) -> Outcome | None:
        """How the course ended, once the gate is open; None if it was cancelled."""
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
                # Asked first: lines that came before the end are read before it is told.
                code = self._processes.exit_code(one.name)
                self._read(one.name, now)
                if code is not None and one.name not in exited:
                    exited.add(one.name)
                    said = last_lines(one.out / "console.log")
                    self._tell_all(supervisor.feed_exit(one.name, code, False, now, said))
            self._tell_all(supervisor.tick(now))
            time.sleep(PAUSE_S)
        listener.snapshot(self._snapshot())
        return supervisor.outcome

    def end(self) -> None:
        """End all participants; safe twice."""
        self._stack.close()

    def _close_reports(self) -> None:
        for reports in self._reports.values():
            reports.close()

    def _read(self, name: str, now: float) -> None:
        self._tell_all(self._reports[name].feed(self._supervisor, now))

    def _sample(self, now: float) -> None:
        moment = round(time.time(), 3)
        figures = self._processes.figures()
        for name, used in figures.items():
            self._metrics.writerow({"t": moment, "device": name, **used})
        self._usage.add(now, {name: reading(used) for name, used in figures.items()})
        for name in figures:
            self._supervisor.feed_frozen(name, self._processes.frozen(name), now)
            if self._usage.is_working(name, self._supervisor.live_state(name), None, now):
                self._supervisor.feed_heartbeat(name, now)
        self._listener.snapshot(self._snapshot())

    def _snapshot(self) -> dict[str, Any]:
        supervisor = self._supervisor
        # As on a lab host the server comes first.
        names = [one.name for one in sorted(self._participants, key=lambda one: one.role, reverse=True)]
        devices = {
            name: snapshot.device_part(
                name, supervisor.live_state(name), supervisor.device_round(name), self._usage, None, None
            )
            for name in names
        }
        outcome = supervisor.outcome
        return {
            "t": round(time.time(), 3),
            "state": "running" if outcome is None else outcome.status,
            **snapshot.course_part(supervisor, supervisor.total_rounds),
            "backend": None,
            "counts": snapshot.counts(devices.values()),
            "devices": devices,
        }

    def _tell_all(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, ClientLost) and event.device is not None:
                self._lose(event.device)
            self._tell(event)

    def _lose(self, name: str) -> None:
        """Tell the server, and end the client, which must not wake up and disturb.

        All clients call this machine by one name, so the server knows them by their ports as well.
        """
        lost = self._supervisor.lost
        by_address = {self._addresses[device]: reason for device, reason in lost.items() if self._addresses[device]}
        self._gate.announce_lost({**lost, **by_address})
        self._processes.kill(name)

    def _tell(self, event: Event) -> None:
        timed = event if event.t is not None else replace(event, t=round(time.time(), 6))
        self._journal.write(timed.to_line())
        self._journal.flush()
        self._listener.event(timed.as_dict())
