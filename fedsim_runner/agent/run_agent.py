"""The agent: links, gate, supervision, samples and journal of one run on one lab host, as one state."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import platform
import threading
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ..contract import events
from ..contract.agent_calls import (
    ApplyLinks,
    GateAnswer,
    LinksAnswer,
    OpenGate,
    Packets,
    Probe,
    Status,
    Stop,
    call_of,
)
from ..contract.atomic import CannotWriteError, replace
from ..contract.events import Event
from ..contract.names import LABEL_RUN
from ..contract.paths import StateFolder
from . import PROTOCOL
from .course import snapshot
from .course.gate import Gate
from .course.watch import Watch
from .host.docker_api import Docker, DockerError
from .host.fleet import Container, Fleet
from .host.journal import Journal
from .host.samples import Sampler
from .links import counters, probe
from .links.run_links import RunLinks
from .run_settings import read_run_settings

TICK_S = 0.5
SAMPLE_S = 1.0
SETTLE_S = 5.0  # after the course: until participants have written their last files
RESYNC_S = 30.0


class Agent:
    """The state of one run. Docker's events, ticks and commands come from different threads: one lock for all."""

    def __init__(self, state: StateFolder, run: str, docker: Docker) -> None:
        """Read the device file and begin the agent's files.

        Raises:
            CannotWriteError: one of them cannot be made.
        """
        self._state = state
        self._run = run
        self._docker = docker
        self._fleet = Fleet(docker, run)
        self._lock = threading.RLock()
        self._gate = Gate(state)
        self._memory = state.memory
        self._snapshot = state.snapshot
        self._journal = Journal(state.journal)
        self._sampler = Sampler(state.metrics, counters.read)
        self._file = read_run_settings(self._state.device_file)
        self._watch = Watch(state, self._file, self._act)
        self._containers: dict[str, Container] = {}
        self._open_at: float | None = None
        self._ended_at: float | None = None
        self._cannot_write: set[str] = set()
        self._next_sample = self._next_look = 0.0
        self._probed = probe.probe()
        self._links = RunLinks(docker, run, self._probed, self._note)
        self.stopping = threading.Event()
        self.failure: str | None = None  # why this agent cannot go on

    # -- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Say so in the journal, see which containers there are, and take up a run that an earlier agent left."""
        self._note(
            events.AgentStarted(
                backend=self._probed["backend"],
                kernel=platform.release(),
                version=PROTOCOL,
                congestion_control=_congestion_control(),
            )
        )
        try:
            remembered = json.loads(self._memory.read_text())
        except (OSError, ValueError):
            remembered = {}
        self.look()
        if remembered.get("shaped"):
            self.apply(False, list(remembered["shaped"]))
        if remembered.get("open_at") is not None:
            self._take_up(float(remembered["open_at"]))

    def close(self) -> None:
        """End cleanly. Where packets pass through this agent, they stop."""
        with self._lock:
            self._note(events.AgentStopped())
            self._links.stop()
            self._sampler.close()
            self._watch.close()
            self._journal.close()

    def tick(self) -> None:
        """Twice a second: logs, time limits, samples."""
        with self._lock:
            now = time.time()
            if now >= self._next_look:
                self._next_look = now + RESYNC_S
                self.look()
            self._watch.tick()
            self._watch_over()
            if now >= self._next_sample:
                self._next_sample = max(self._next_sample + SAMPLE_S, now + SAMPLE_S / 2)
                self._watch.sample(now, self._sampler.read(), self._containers)
                try:
                    self._sampler.write(now)
                    replace(self._snapshot, json.dumps(self._now(now)) + "\n")
                except CannotWriteError as error:
                    self._cannot(error)

    # -- containers ---------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Compare all containers with what is known; an Engine that does not answer changes nothing."""
        with self._lock:
            try:
                found = self._fleet.look(self._containers)
            except DockerError:
                return
            for name in self._file.roles:
                if name in found:
                    self._observe(found[name])
                elif name in self._containers:
                    self._ended(self._containers.pop(name), 137, False)

    def docker_event(self, event: dict[str, Any]) -> None:
        """What the Engine reports."""
        actor = event.get("Actor") or {}
        attributes = actor.get("Attributes") or {}
        identity = attributes.get("container") if event.get("Type") == "network" else actor.get("ID")
        action = event.get("Action")
        with self._lock:
            known = next((c for c in self._containers.values() if c.id == identity), None)
            if known is None and not (action == "start" and attributes.get(LABEL_RUN) == self._run):
                return
            if known is not None and action == "die":
                # Before anything else: what starts next must not pass the gate unshaped.
                self._gate.shut()
                code = attributes.get("exitCode")
                if known.pid:
                    self._ended(known, int(code) if code and code.isdigit() else 137, None)
                    self._let_late_ones_in()
                return
            container = self._fleet.inspect(str(identity))
            if container is None or container.device not in self._file.roles:
                return
            self._observe(container)
            if action == "connect" and container.device in self._links.shaped:
                self._reapply(container.device)

    def _observe(self, container: Container) -> None:
        before = self._containers.get(container.device)
        if before == container:
            return
        if before is not None and before.pid and before.pid != container.pid:
            self._ended(before, container.exit_code, container.oom_killed)
        self._containers[container.device] = container
        if container.pid and (before is None or before.pid != container.pid):
            self._sampler.watch(container.device, container.pid, container.id)
            self._watch.started(container.device)
            self._note(events.DeviceStarted(container.device))
            if container.device in self._links.shaped:
                self._reapply(container.device)
            if self._watch.supervisor is not None and container.device in self._watch.supervisor.lost:
                self._kill_lost(container.device)  # somebody started it again

    def _ended(self, container: Container, exit_code: int | None, oom_killed: bool | None) -> None:
        """The process behind a container has gone; ``oom_killed`` None: the Engine is asked."""
        name = container.device
        self._sampler.forget(name)
        self._links.forget(name)
        if oom_killed is None:
            after = self._fleet.inspect(container.id)
            oom_killed = after is not None and after.oom_killed
        code = 137 if exit_code is None else exit_code
        self._containers[name] = Container(name, container.id, 0, False, code, oom_killed)
        if self._watch.supervisor is None:
            self._note(events.DeviceExited(name, code, oom_killed))
            return
        self._watch.ended(name, code, oom_killed, self._fleet.last_lines(container.id))

    def _feed_exits(self) -> None:
        """Participants that had ended before anybody watched."""
        for name, container in list(self._containers.items()):
            if not container.pid and container.exit_code is not None:
                lines = self._fleet.last_lines(container.id)
                self._watch.ended(name, container.exit_code, container.oom_killed, lines)

    def _let_late_ones_in(self) -> None:
        """A client was lost while others still stood before the gate, which was shut because of it."""
        supervisor = self._watch.supervisor
        if supervisor is None or self._open_at is None or self._ended_at is not None or not self._file.go_on:
            return
        running = self._running()
        if any(supervisor.states[name] == "starting" for name in running) and self._links.covers(running):
            self._open()

    # -- links and gate -----------------------------------------------------------------------------------------------

    def apply(self, check: bool, names: Collection[str] | None) -> LinksAnswer:
        """Bring links to what the device file wants (it is read anew).

        Raises:
            UnshapableError: no back end here holds them, and ``allow_unshaped`` is not set.
        """
        with self._lock:
            self._file = read_run_settings(self._state.device_file)
            self._watch.use(self._file)
            wanted = [name for name in self._file.roles if names is None or name in names]
            self.look()
            running = {name: c.pid for name in wanted if (c := self._containers.get(name)) is not None and c.pid}
            answer = self._links.apply(self._file, wanted, running, check)
            if not check:
                self._remember()
            return answer

    def _reapply(self, name: str) -> None:
        """A new interface of a device whose link was in force; then the gate, if it was open, opens again."""
        container = self._containers[name]
        if not container.pid:
            return
        failed = self._links.again(name, container.pid)
        if failed is not None:
            self._fail(name, f"its link could not be shaped again: {failed}")
        elif self._open_at is not None and self._ended_at is None and self._links.covers(self._running()):
            self._open()

    def _running(self) -> set[str]:
        return {name for name, container in self._containers.items() if container.pid}

    def _open(self) -> None:
        assert self._open_at is not None
        try:
            self._gate.open(self._open_at)
        except CannotWriteError as error:
            self._fail(None, str(error))

    def open_gate(self, open_at: float | None) -> GateAnswer:
        """Let the participants go, now or at a time, once their links are in force; supervision starts then.

        Raises:
            RuntimeError: a running device's link has not been shaped.
            CannotWriteError: the gate cannot be opened.
        """
        with self._lock:
            if self._open_at is not None:
                return {"changed": False}
            self.look()
            if not self._links.covers(self._running()):
                bare = sorted(self._running() - self._links.shaped)
                raise RuntimeError(f"links are not in force on: {', '.join(bare)}")
            at = time.time() if open_at is None else open_at
            self._gate.forget_lost()
            self._gate.open(at)
            self._open_at = at
            self._watch.begin(at)
            self._remember()
            self._note(events.GateOpened(at))
            self._feed_exits()
            return {"changed": True}

    def _take_up(self, open_at: float) -> None:
        """An agent that was restarted in the middle of a course."""
        self._open_at = open_at
        self._watch.take_up(open_at, self._gate.lost())
        if self._links.covers(self._running()):
            self._open()
        self._feed_exits()

    def _remember(self) -> None:
        try:
            replace(self._memory, json.dumps({"open_at": self._open_at, "shaped": sorted(self._links.shaped)}))
        except CannotWriteError as error:
            self._cannot(error)

    # -- supervision --------------------------------------------------------------------------------------------------

    def _watch_over(self) -> None:
        if self._links.broken is not None:
            self._fail(None, self._links.broken)
        if self._journal.failure is not None:
            self._fail(None, self._journal.failure)
            over = self._ended_at is not None and time.monotonic() - self._ended_at >= SETTLE_S
            if self._journal.stuck and (over or self._watch.supervisor is None):
                # Nobody would ever hear of it: the end of this process, and its last words, tell it.
                self.failure = self._journal.failure
                self.stopping.set()

    def _fail(self, device: str | None, reason: str) -> None:
        """The course, if one runs, has failed for a reason from outside it."""
        if self._watch.supervisor is not None:
            self._watch.tell_all(self._watch.supervisor.fail(device, reason))

    def _act(self, event: Event) -> None:
        """An event of the course: what has to be done because of it, and the journal."""
        supervisor = self._watch.supervisor
        if isinstance(event, events.ClientLost) and event.device is not None and supervisor is not None:
            try:
                self._gate.tell_lost(supervisor.lost)
            except CannotWriteError as error:
                self._note(event)
                self._fail(None, f"the server cannot be told of a lost client: {error}")
                return
            self._kill_lost(event.device)
        self._note(event)
        if supervisor is not None and supervisor.outcome is not None and self._ended_at is None:
            self._end_course()

    def _kill_lost(self, name: str) -> None:
        """A lost client that still runs (frozen) must not wake up and disturb the course that goes on without it."""
        container = self._containers.get(name)
        if container is None or not container.pid:
            return
        identity = container.id

        def kill() -> None:
            with contextlib.suppress(DockerError):  # it ended by itself, or the Engine is away
                self._docker.kill(identity, "KILL")

        threading.Thread(target=kill, name="end a lost client", daemon=True).start()

    def _end_course(self) -> None:
        """Let participants end that have not: they write their last files, and free the processors."""
        self._ended_at = time.monotonic()
        running = [container for container in self._containers.values() if container.pid]

        def end() -> None:
            for container in running:
                with contextlib.suppress(DockerError):  # it ended by itself, or the Engine is away
                    self._docker.kill(container.id, "TERM")

        threading.Thread(target=end, name="end participants", daemon=True).start()

    def status(self) -> dict[str, Any]:
        """Where the run stands. It is over only when its participants have ended too, or had 5 s to do so."""
        with self._lock:
            supervisor = self._watch.supervisor
            outcome = supervisor.outcome if supervisor is not None else None
            answer = self._now(time.time())
            for name, device in answer["devices"].items():
                container = self._containers.get(name)
                device["exit_code"] = container.exit_code if container is not None else None
            answer["reason"] = outcome.reason if outcome is not None else None
            answer["device"] = outcome.device if outcome is not None else None
            answer["lost"] = supervisor.lost if supervisor is not None else {}
            return answer

    def _now(self, now: float) -> dict[str, Any]:
        supervisor = self._watch.supervisor
        outcome = supervisor.outcome if supervisor is not None else None
        state = "provisioned" if supervisor is None else "running"
        if outcome is not None and self._ended_at is not None:
            ended = not any(container.pid for container in self._containers.values())
            if ended or time.monotonic() - self._ended_at >= SETTLE_S:
                state = outcome.status
        devices = self._watch.devices(self._containers)
        course = snapshot.course_part(supervisor, self._file.total_rounds)
        return {
            "t": round(now, 3),
            "lab_host": self._file.lab_host,
            "state": state,
            **course,
            "backend": self._links.backend,
            "counts": snapshot.counts(devices.values()),
            "devices": devices,
        }

    # -- commands -----------------------------------------------------------------------------------------------------

    def command(self, name: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
        """What ``ctl`` asks for.

        Raises:
            ValueError: no such command, or not with these arguments.
        """
        match call_of(name, arguments):
            case Probe():
                return dict(self._probed)
            case ApplyLinks(check, devices):
                return self.apply(check, devices)
            case OpenGate(open_at):
                return self.open_gate(open_at)
            case Status():
                return self.status()
            case Packets():
                with self._lock:
                    return self._links.figures()
            case Stop():
                self.stopping.set()
                return {"stopping": True}
        raise AssertionError(f"{name} is a call that nobody answers")

    def _note(self, event: Event) -> None:
        self._journal.write(dataclasses.replace(event, lab_host=self._file.lab_host))

    def _cannot(self, error: CannotWriteError) -> None:
        """A file that is not needed for the course is incomplete: said once."""
        if str(error) not in self._cannot_write:
            self._cannot_write.add(str(error))
            self._note(events.AgentCannotWrite(str(error)))


def _congestion_control() -> str | None:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()
    return None
