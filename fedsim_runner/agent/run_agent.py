"""The agent of one run on one lab host: it passes events there to links, gate, supervision and journal."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import platform
import threading
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from ..contract import events
from ..contract.agent_calls import GateAnswer, HoldsAnswer, JoinedAnswer, LinksAnswer, MeasuredAnswer
from ..contract.atomic import CannotWriteError, replace
from ..contract.congestion_control import read_congestion_controls
from ..contract.errors import FedsimError
from ..contract.events import Event
from ..contract.lab_network import Settled
from ..contract.link import Links
from ..contract.names import LABEL_DEVICE, LABEL_RUN
from ..contract.paths import StateFolder
from ..contract.typed_json import dump
from . import PROTOCOL
from .containers import ASK_AGAIN_S, Containers, Reactions
from .course import snapshot
from .course.watch import Watch
from .gatekeeper import Gatekeeper
from .health import SETTLE_S, Health
from .holds import what_is_held
from .host.disk_limits import DiskLimits
from .host.docker_api import Docker, DockerError
from .host.earlier_events import how_devices_are_emulated
from .host.fleet import Container
from .host.host_load import HostLoad
from .host.journal import Journal
from .host.left_out import LeftOut
from .host.network_container import NetworkContainer
from .host.samples import Sampler
from .lab.joining import join_lab
from .lab.part import LabPart
from .lab_network.lab_network import LabNetwork
from .links import counters, probe
from .links.results import Result
from .links.run_links import RunLinks
from .measuring.course_counters import CourseCounters
from .measuring.link_check import LinkCheck, NotNowError
from .run_settings import RunSettings, read_run_settings
from .start_up import StartUp
from .timeline.devices import Devices
from .timeline.timeline import Timeline
from .traces.player import Player

TICK_S = 0.5
AWAITED_TICK_S = 0.05  # while an event waits for what a participant reports
LOADING_TICK_S = 0.1
SAMPLE_S = 1.0
AT_THE_GATE = ("starting", "loading", "ready")
ENGINE_ANSWERS_S = 2.0  # whoever stops an agent has an Engine that answers; one that ends has shut its door by then
ENGINE_ENDED = (
    "the Docker Engine was stopped or restarted during the course, and ended all containers "
    '(it spares them with "live-restore": true in daemon.json)'
)


class Agent:
    """The state of one run. Docker's events, ticks and commands come from different threads and share one lock."""

    def __init__(self, state: StateFolder, run: str, docker: Docker) -> None:
        """Read the device file and create the agent's files.

        Raises:
            CannotWriteError: one of them cannot be created.
            ChannelError: the agents of other lab hosts cannot reach this one.
        """
        self._run = run
        self._lock = threading.RLock()
        self._state = state
        self._device_file = state.device_file
        self._snapshot = state.snapshot
        self._journal = Journal(state.journal)
        self._sampler = Sampler(state.metrics, LeftOut(state.left_out), counters.read)
        self._host_load = HostLoad(state.host_load)
        self._settings = read_run_settings(self._device_file)
        self._disk = DiskLimits(state)
        self._watch = Watch(state, self._settings, self._act, lambda *course: self._lab.supervise(*course))
        self._lab = self._join_lab()
        self._docker = docker
        self._containers = Containers(
            docker,
            run,
            self._lock,
            Reactions(
                lambda: self._settings.roles,
                self._on_started,
                self._on_stopped,
                self._on_exit,
                self._admit_late_starters,
            ),
        )
        self._probed = probe.probe()
        self._network = NetworkContainer(docker, run)
        self._links = RunLinks(self._network, self._settings.link_backend, self._probed, self._record)
        self._lab_network = LabNetwork(run, self._network, self._links, state.lab_network, self._record)
        self._link_check = LinkCheck(self._lock, self._links, self._sampler, self._record)
        self._counters = CourseCounters(
            state, self._links, self._containers.running_pids, self._record, self._report_write_error
        )
        self._player = Player(self._vary, self._record)
        self._gatekeeper = Gatekeeper(
            state, self._links, self._containers, partial(self._fail, None), self._lose, self._report_write_error
        )
        self._start_up = StartUp(
            self._gatekeeper, self._containers, self._watch, self._record, partial(self._fail, None), lambda: self._lab
        )
        self._timeline = Timeline(
            self._links,
            Devices(docker, self._containers.by_device),
            state.timeline,
            self._record,
            self._gatekeeper.gate.announce_offline,
            self._gatekeeper.lost,
        )
        self._health = Health(
            state,
            self._journal,
            self._links,
            self._gatekeeper,
            self._watch,
            lambda: self._containers.by_device,
            self._ended_for,
            partial(self._fail, None),
        )
        self._ended_at: float | None = None
        self._reported_write_errors: set[str] = set()
        self._next_sample = 0.0
        self.stopping = threading.Event()
        self.failure: str | None = None  # why this agent cannot go on

    # -- life cycle ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Record the start in the journal, find the containers, and resume a run that an earlier agent left."""
        self._record_start()
        for event in how_devices_are_emulated(self._state.emulated):
            self._record(event)
        self._lab.start()
        shaped = self._gatekeeper.load_memory()
        if self._gatekeeper.is_requested:
            self._timeline.resume(self._settings)
        with self._lock:
            if self._gatekeeper.is_requested:
                self._watch.resume(self._gatekeeper.open_at, self._gatekeeper.lost())
        while not self.stopping.is_set():  # without the Engine nothing is known of this run
            try:
                self._containers.refresh()
                self._network.look_up()
            except DockerError:
                self.stopping.wait(ASK_AGAIN_S)
            else:
                break
        with self._lock:
            if self.stopping.is_set():
                return
            self._lab_network.resume(self._settings)
            if shaped:
                try:
                    self._gatekeeper.apply(self._settings, shaped, False)
                except FedsimError as error:
                    self._fail(None, str(error))
            if self._gatekeeper.is_requested:
                self._counters.begin()  # what passed before is not known
            self._gatekeeper.reopen()
            if self._gatekeeper.is_requested and (reason := self._lab.why_not_resumed()) is not None:
                self._fail(None, reason)
            if self._watch.supervisor is not None:
                self._containers.report_ends()
            if self._gatekeeper.is_requested and self._gatekeeper.open_at is None:
                self._start_up.resume(self._settings)

    def close(self) -> None:
        """End cleanly. Packets that pass through this agent stop."""
        with_the_engine = self._is_course_on() and not self._docker.is_there(ENGINE_ANSWERS_S)
        with self._lock:
            if with_the_engine:
                self._fail(None, ENGINE_ENDED)
            self._lab.close()
            self._timeline.stop()
            self._player.stop()
            self._record(events.AgentStopped())
            self._links.stop()
            self._lab_network.close()
            self._sampler.close()
            self._host_load.close()
            self._counters.close()
            self._disk.close()
            self._watch.close()
            self._containers.close()
            self._journal.close()

    def tick(self) -> None:
        """Read logs, check time limits, take samples; called twice a second."""
        with self._lock:
            now = time.time()
            self._containers.tick()
            self._lab.tick()
            self._start_up.step()
            self._play()
            self._watch.tick()
            self._look_at_timeline()
            self._health.check()
            if self._is_course_on():
                self._counters.tick()
            if now >= self._next_sample:
                self._next_sample = max(self._next_sample + SAMPLE_S, now + SAMPLE_S / 2)
                self._check_disk()
                self._health.check_files()
                self._watch.sample(now, self._sampler.read(), self._containers.by_device, self._timeline.frozen)
                try:
                    self._sampler.write(now)
                    self._host_load.write(now)
                    if self._is_course_on():
                        self._counters.sample(now)
                    replace(self._snapshot, json.dumps(self._state_at(now)) + "\n")
                except CannotWriteError as error:
                    self._report_write_error(error)
                    self._show_life()
            if self._health.failure is not None:
                self.failure = self._health.failure
                self.stopping.set()

    @property
    def pause_s(self) -> float:
        """Seconds after which :meth:`tick`, or while participants load at least :meth:`load`, is due."""
        if self._timeline.awaited:
            return AWAITED_TICK_S
        return LOADING_TICK_S if self._start_up.is_active else TICK_S

    def load(self) -> None:
        """Have the next participants load as soon as others have; see whether what an event waits for has come."""
        with self._lock:
            self._lab.tick()
            self._start_up.step()
            self._play()
            self._look_at_timeline()

    def _look_at_timeline(self) -> None:
        supervisor, open_at = self._watch.supervisor, self._gatekeeper.open_at
        if supervisor is None or supervisor.outcome is not None or open_at is None:
            return
        self._timeline.open(open_at, self._settings, supervisor)
        self._watch.read(self._timeline.awaited)
        for name, reason in self._timeline.look(supervisor).items():
            self._lose(name, f"it could not be started anew: {reason}")
        supervisor.feed_offline(self._timeline.away, time.monotonic())

    def _check_disk(self) -> None:
        """End each device that uses more of the disk than it may; the others need the space."""
        self._disk.check(self._settings.disk_bytes, self._containers.by_device)
        for name, reason in self._disk.over.items():
            self._watch.on_disk_full(name, reason)
        # Whether or not a course is running.
        self._containers.send(self._disk.over, "KILL")

    def _show_life(self) -> None:
        """Change the snapshot's time, which needs no space: whoever follows the course sees that this agent works."""
        with contextlib.suppress(OSError):
            os.utime(self._snapshot)

    # -- containers ---------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Have the Engine asked for all containers, because events may have been missed."""
        with self._lock:
            self._containers.refresh_later()

    def docker_event(self, event: dict[str, Any]) -> None:
        """Handle one event of the Engine."""
        attributes = (event.get("Actor") or {}).get("Attributes") or {}
        action = event.get("Action")
        with self._lock:
            if action == "die" and attributes.get(LABEL_RUN) == self._run and attributes.get(LABEL_DEVICE):
                # Before anything else: a restarted container must find it shut.
                self._gatekeeper.shut()
            self._containers.on_event(event)
            if action == "die":
                self._admit_late_starters()

    def _on_started(self, container: Container) -> None:
        name = container.device
        if self._watch.supervisor is not None and name in self._watch.supervisor.lost:
            # Someone restarted it. It stays out: it is not connected, so that its end cannot race that.
            self._containers.send([name], "KILL")
            return
        self._sampler.watch(name, container.pid, container.id)
        if self._timeline.on_started(name) and self._watch.supervisor is not None:
            self._watch.read([name])  # what its former life has reported
            self._watch.supervisor.feed_restart(name)
        self._watch.on_started(name)
        self._record(events.DeviceStarted(name))
        self._gatekeeper.shape_new_interface(name)

    def _on_stopped(self, container: Container) -> None:
        self._sampler.forget(container.device)
        self._links.forget(container.device)

    def _on_exit(self, container: Container, lines: list[str]) -> None:
        name, code = container.device, container.exit_code
        assert code is not None
        if self._watch.supervisor is None or self._timeline.takes_end(name):
            self._record(events.DeviceExited(name, code, container.oom_killed))
        elif name in self._settings.roles:  # else it has left the run, and its end was looked up meanwhile
            self._watch.on_ended(name, code, container.oom_killed, lines)

    def _admit_late_starters(self) -> None:
        """Reopen the gate, shut because a client was lost or started anew, for those that are waiting at it."""
        supervisor = self._watch.supervisor
        if supervisor is None or not (self._settings.go_on or self._timeline.brings_back):
            return
        if any(supervisor.states[name] in AT_THE_GATE for name in self._containers.running_pids()):
            self._gatekeeper.reopen()

    # -- the course ---------------------------------------------------------------------------------------------------

    def _act(self, event: Event) -> None:
        """Act on an event of the course and record it."""
        supervisor = self._watch.supervisor
        if isinstance(event, events.ClientLost) and event.device is not None and supervisor is not None:
            try:
                self._gatekeeper.announce_lost(supervisor.lost)
            except CannotWriteError as error:
                self._record(event)
                self._fail(None, f"the server cannot be informed of a lost client: {error}")
                return
            # A frozen client must not wake up and disturb the course that goes on without it.
            self._containers.send([event.device], "KILL")
        if supervisor is not None and supervisor.outcome is not None and self._ended_at is None:
            self._player.stop()
            self._counters.finish(
                self._settings, self._timeline.changed
            )  # before the last event that anybody waits for
        if supervisor is None or supervisor.judges or not isinstance(event, events.ClientLost):
            self._record(event)
        if supervisor is not None and supervisor.outcome is not None and self._ended_at is None:
            self._ended_at = time.monotonic()
            self._timeline.stop()
            self._gatekeeper.keep_shut()
            # The participants still running can write their last files, and then free the processors.
            self._containers.send(list(self._containers.running_pids()), "TERM")

    def _play(self) -> None:
        """Have links vary as planned, from the opening of the gate to the end of the course."""
        if self._gatekeeper.open_at is not None and self._is_course_on():
            settings = self._settings
            self._player.begin(
                self._gatekeeper.open_at,
                settings.variations,
                settings.tracks,
                settings.links.seed,
                self._links.packets_wait_here,
            )

    def _vary(self, links: Mapping[str, Links], due_s: float) -> Callable[[], Mapping[str, Result]]:
        """Have links be these at a time of the monotonic clock, where no event says otherwise."""
        # Of traces, the journal has only how many steps were made, and what failed.
        return self._links.begin_change(
            lambda now: dataclasses.replace(now, varied={**now.varied, **links}), due_s, reads_back=False
        )

    def _fail(self, device: str | None, reason: str) -> None:
        """End the course, if one runs, for a reason from outside it."""
        if self._watch.supervisor is not None:
            self._watch.emit_all(self._watch.supervisor.fail(device, reason))

    def _is_course_on(self) -> bool:
        with self._lock:
            return self._watch.supervisor is not None and self._watch.supervisor.outcome is None

    def _lose(self, device: str, reason: str) -> None:
        """Give a device up; what that means for the course is the supervisor's decision."""
        if self._watch.supervisor is not None:
            self._watch.emit_all(self._watch.supervisor.lose(device, reason, time.monotonic()))

    def _ended_for(self, seconds: float) -> bool:
        """Whether the course ended at least so long ago."""
        return self._ended_at is not None and time.monotonic() - self._ended_at >= seconds

    # -- ctl's commands (commands.py) ---------------------------------------------------------------------------------

    def probe_result(self) -> dict[str, Any]:
        """What this kernel can shape links with."""
        return dict(self._probed)

    def offer_lab(self, port: int) -> dict[str, Any]:
        """What this lab host offers the others of its run.

        Raises:
            LabNetworkError: the run has no others, or one cannot be reached at all.
            NoNetworkError: no container holds the run's network.
            DockerError: the Engine does not say which containers run.
        """
        self._network.look_up()
        offer: dict[str, Any] = dump(self._lab_network.offer(self._read_settings(), port))
        return offer

    def join_lab(self, settled: Settled, port: int, check: bool) -> JoinedAnswer:
        """Join this lab host to the others of its run.

        Raises:
            LabNetworkError: the kernel refuses it.
            NoNetworkError: no container holds the run's network.
            DockerError: the Engine does not say which containers run.
        """
        self._network.look_up()
        differences = self._lab_network.join(self._read_settings(), settled, port, check)
        return {"differences": differences, "note": self._lab_network.unguarded}

    def apply(self, check: bool, names: Collection[str] | None) -> LinksAnswer:
        """Connect the devices and shape their links as the device file says, which is read again first.

        Raises:
            UnshapableError: no back end here can shape them, and ``allow_unshaped`` is not set.
            NoNetworkError: no container holds the run's network.
            LabNetworkError: another lab host of the run is not reached.
            DockerError: the Engine does not say which containers run.
        """
        settings = self._read_settings()
        self._containers.refresh()
        self._network.look_up()
        if not check:
            self._lab_network.measure(settings)
        with self._lock:
            answer = self._gatekeeper.apply(self._settings, names, check)
            notes = self._lab_network.delays_off
            return {**answer, "delays_off": notes} if notes else answer

    def _read_settings(self) -> RunSettings:
        """Read the device file again."""
        with self._lock:
            lab, scale = self._settings.lab, self._settings.time_scale
            self._settings = read_run_settings(self._device_file)
            if self._settings.time_scale != scale:
                self._record_start()  # the run was brought up again with another factor, which readers have to know
            if self._settings.lab != lab and self._watch.supervisor is None:
                self._lab.close()
                self._lab = self._join_lab()
                self._lab.start()
            self._watch.use_settings(self._settings)
            self._containers.forget_others(self._settings.roles)
            return self._settings

    def measure(self, again: bool, names: Collection[str] | None) -> MeasuredAnswer:
        """Measure the links that are in force.

        Raises:
            NotNowError: they are being measured, or ``again`` and a course is on, whose packets would be in the way.
        """
        with self._lock:
            if self._gatekeeper.is_requested and (self._watch.supervisor is None or self._is_course_on()):
                if not again:
                    # They were measured before it began.
                    return {"links": [], "reason": None, "time_factor": self._settings.time_scale.factor}
                raise NotNowError("a course is on: its packets and those that measure links would disturb each other")
            links = self._links.now(self._settings.links)
            settings, running = dataclasses.replace(self._settings, links=links), self._containers.running_pids()
        return self._link_check.measure(settings, running, again, names)

    def open_gate(self, open_at: float | None) -> GateAnswer:
        """Have the participants load their engines, and then let them go, but not before ``open_at``.

        Raises:
            RuntimeError: a running device's link has not been shaped.
            NotNowError: the links are being measured.
            DockerError: the Engine does not say which containers run.
        """
        self._containers.refresh()
        with self._lock:
            if self._gatekeeper.is_requested:
                return {"changed": False}
            if self._link_check.is_under_way:
                raise NotNowError("the links are being measured, which takes some seconds")
            self._gatekeeper.request(open_at)
            self._counters.begin()  # before that, packets have measured the links
            self._start_up.begin(self._settings)
            self._check_disk()  # one that was ended before has a reason
            self._containers.report_ends()
            return {"changed": True}

    def status(self) -> dict[str, Any]:
        """The state of the run. It is over only once its participants have ended, or have had 5 s to do so."""
        with self._lock:
            answer = self._state_at(time.time())
            for name, device in answer["devices"].items():
                container = self._containers.by_device.get(name)
                device["exit_code"] = container.exit_code if container is not None else None
            return {**answer, **snapshot.ending(self._watch.supervisor)}

    def holds(self) -> HoldsAnswer:
        """What the run holds of this lab host."""
        with self._lock:
            return what_is_held(self._state, self._ended_at is not None)

    def packet_counters(self) -> dict[str, Any]:
        """Counters of the process that holds packets outside the kernel."""
        with self._lock:
            return self._links.counters()

    def _state_at(self, now: float) -> dict[str, Any]:
        supervisor = self._watch.supervisor
        final = self._ended_for(self._settings.time_scale.to_wall(SETTLE_S)) or (
            self._ended_at is not None and not self._containers.running_pids()
        )
        devices = {
            name: device | self._counters.now(name)
            for name, device in self._watch.devices(self._containers.by_device).items()
        }
        return {
            "t": round(now, 3),
            "lab_host": self._settings.lab_host,
            "state": snapshot.run_state(supervisor, final),
            **snapshot.course_part(supervisor, self._settings.total_rounds, self._settings.time_scale.factor),
            "backend": self._links.backend,
            "counts": snapshot.counts(devices.values()),
            "devices": devices,
        }

    def _join_lab(self) -> LabPart:
        settings = self._settings
        return join_lab(settings.lab, settings.lab_host, self._run, self._state, lambda: self._watch, self._record)

    def _record_start(self) -> None:
        self._record(
            events.AgentStarted(
                backend=self._links.backend,
                kernel=platform.release(),
                version=PROTOCOL,
                congestion_control=read_congestion_controls().in_force(self._settings.congestion_control),
                time_factor=self._settings.time_scale.factor,
            )
        )

    # -- the journal --------------------------------------------------------------------------------------------------

    def _record(self, event: Event) -> None:
        # One copy with both, as a course has thousands of events.
        moment = round(time.time(), 3) if event.t is None else event.t
        self._journal.write(dataclasses.replace(event, t=moment, lab_host=self._settings.lab_host))

    def _report_write_error(self, error: CannotWriteError) -> None:
        """Record once that a file that the course does not need is incomplete."""
        if str(error) not in self._reported_write_errors:
            self._reported_write_errors.add(str(error))
            self._record(events.AgentCannotWrite(str(error)))
