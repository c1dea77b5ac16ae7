"""The agent of one run on one lab host: its parts, its life, and who is asked when."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from ..contract import events
from ..contract.agent_calls import GateAnswer, HoldsAnswer
from ..contract.errors import FedsimError
from ..contract.paths import StateFolder
from .container_changes import ContainerChanges
from .containers import ASK_AGAIN_S, Containers, Reactions
from .course.watch import Watch
from .current import Current
from .gatekeeper import Gatekeeper
from .health import Health
from .holds import what_is_held
from .host import counters
from .host.docker_api import Docker, DockerError
from .host.earlier_events import how_devices_are_emulated
from .host.journal import Journal
from .host.left_out import LeftOut
from .host.network_container import NetworkContainer
from .host.samples import Sampler
from .lab.joining import join_lab
from .lab.part import LabPart
from .lab_calls import LabCalls
from .lab_network.lab_network import LabNetwork
from .limit_correction import LimitCorrection
from .link_calls import LinkCalls
from .links import probe
from .links.run_links import RunLinks
from .measuring.course_counters import CourseCounters
from .measuring.link_check import LinkCheck, NotNowError
from .recording import Recorder
from .run_course import RunCourse
from .run_settings import RunSettings, read_run_settings
from .run_state import RunState
from .sampling import Sampling
from .settings_reader import SettingsReader
from .start_up import StartUp
from .timeline.devices import Devices
from .timeline.timeline import Timeline
from .traces.player import Player

TICK_S = 0.5
AWAITED_TICK_S = 0.05  # while an event waits for what a participant reports
LOADING_TICK_S = 0.1
ENGINE_ANSWERS_S = 2.0  # whoever stops an agent has an Engine that answers; one that ends has shut its door by then
ENGINE_ENDED = (
    "the Docker Engine was stopped or restarted during the course, and ended all containers "
    '(it spares them with "live-restore": true in daemon.json)'
)


class Agent:
    """The agent of one run. Docker's events, ticks and commands come from different threads and share one lock.

    Attributes:
        probed: what this kernel can shape links with.
        link_calls: answers what is asked of the links.
        lab_calls: answers what is asked of the network between lab hosts.
        stopping: set once it is to end.
        failure: why this agent cannot go on.
    """

    def __init__(self, state: StateFolder, run: str, docker: Docker) -> None:
        """Read the device file and create the agent's files.

        Raises:
            CannotWriteError: one of them cannot be created.
            ChannelError: the agents of other lab hosts cannot reach this one.
        """
        self.stopping = threading.Event()
        self.failure: str | None = None
        self._lock = threading.RLock()
        self._state = state
        self._run = run
        self._docker = docker
        self._journal = Journal(state.journal)
        sampler = self._sampler = Sampler(state.metrics, LeftOut(state.left_out), counters.read)
        settings = read_run_settings(state.device_file)
        recorder = self._recorder = Recorder(self._journal, settings.lab_host)
        # Parts that call each other: what is called later is looked up then.
        watch = self._watch = Watch(
            state,
            settings,
            lambda event: self._course.act(event),
            lambda *course: self._current.lab.supervise(*course),
        )
        current = self._current = Current(settings, self._join_lab(settings))
        containers = self._containers = Containers(
            docker,
            run,
            self._lock,
            Reactions(
                lambda: current.settings.roles,
                lambda container: self._changes.on_started(container),
                lambda container: self._changes.on_stopped(container),
                lambda container, lines: self._changes.on_exit(container, lines),
                lambda: self._changes.admit_late_starters(),
            ),
        )
        fail = partial(watch.fail, None)
        self.probed: Mapping[str, Any] = probe.probe()
        network = self._network = NetworkContainer(docker, run)
        links = self._links = RunLinks(network, settings.link_backend, self.probed, recorder.record)
        self._lab_network = LabNetwork(run, network, links, state.lab_network, recorder.record)
        self._link_check = LinkCheck(self._lock, links, sampler, recorder.record)
        self._counters = CourseCounters(
            state, links, containers.running_pids, recorder.record, recorder.report_write_error
        )
        self._player = Player(links.begin_step, recorder.record)
        gatekeeper = self._gatekeeper = Gatekeeper(
            state, links, containers, fail, watch.lose, recorder.report_write_error
        )
        self._start_up = StartUp(gatekeeper, containers, watch, recorder.record, fail, lambda: current.lab)
        correction = self._correction = LimitCorrection(current, gatekeeper, containers, watch, recorder.record)
        timeline = self._timeline = Timeline(
            links,
            Devices(docker, containers.by_device),
            state.timeline,
            recorder.record,
            gatekeeper.gate.announce_offline,
            gatekeeper.lost,
        )
        self._changes = ContainerChanges(
            run, current, containers, watch, gatekeeper, links, sampler, timeline, correction, recorder
        )
        self._course = RunCourse(
            current, watch, gatekeeper, containers, links, timeline, self._player, self._counters, recorder
        )
        self._health = Health(
            state, self._journal, links, gatekeeper, watch, lambda: containers.by_device, self._course.ended_for, fail
        )
        self._run_state = RunState(current, watch, self._course, containers, self._counters, links)
        self._sampling = Sampling(
            state,
            current,
            watch,
            containers,
            sampler,
            timeline,
            self._counters,
            self._health,
            self._run_state,
            recorder,
        )
        reader = SettingsReader(
            self._lock, state.device_file, current, self._join_lab, containers, links, watch, recorder
        )
        self.lab_calls = LabCalls(reader, network, self._lab_network)
        self.link_calls = LinkCalls(
            self._lock,
            current,
            reader,
            containers,
            network,
            self._lab_network,
            links,
            gatekeeper,
            self._link_check,
            watch,
        )

    def start(self) -> None:
        """Record the start in the journal, find the containers, and resume a run that an earlier agent left."""
        self._recorder.record_start(self._current.settings, self._links.backend)
        for event in how_devices_are_emulated(self._state.emulated):
            self._recorder.record(event)
        self._current.lab.start()
        shaped = self._gatekeeper.load_memory()
        if self._gatekeeper.is_requested:
            self._timeline.resume(self._current.settings)
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
            self._lab_network.resume(self._current.settings)
            if shaped:
                try:
                    self._gatekeeper.apply(self._current.settings, shaped, False)
                except FedsimError as error:
                    self._watch.fail(None, str(error))
            if self._gatekeeper.is_requested:
                self._counters.begin()  # what passed before is not known
            self._gatekeeper.reopen()
            if self._gatekeeper.is_requested and (reason := self._current.lab.why_not_resumed()) is not None:
                self._watch.fail(None, reason)
            if self._watch.supervisor is not None:
                self._containers.report_ends()
            if self._gatekeeper.is_requested and self._gatekeeper.open_at is None:
                self._start_up.resume(self._current.settings)

    def close(self) -> None:
        """End cleanly. Packets that pass through this agent stop."""
        with self._lock:
            was_on = self._watch.is_on
        with_the_engine = was_on and not self._docker.is_there(ENGINE_ANSWERS_S)
        with self._lock:
            if with_the_engine:
                self._watch.fail(None, ENGINE_ENDED)
            self._current.lab.close()
            self._timeline.stop()
            self._player.stop()
            self._recorder.record(events.AgentStopped())
            self._links.stop()
            self._lab_network.close()
            self._sampler.close()
            self._sampling.close()
            self._counters.close()
            self._watch.close()
            self._containers.close()
            self._journal.close()

    def tick(self) -> None:
        """Read logs, check time limits, take samples; called twice a second."""
        with self._lock:
            now = time.time()
            self._containers.tick()
            self._current.lab.tick()
            self._start_up.step()
            self._correction.step()
            self._course.play()
            self._watch.tick()
            self._course.look_at_timeline()
            self._health.check()
            if self._watch.is_on:
                self._counters.tick()
            self._sampling.tick(now)
            if self._health.failure is not None:
                self.failure = self._health.failure
                self.stopping.set()

    @property
    def pause_s(self) -> float:
        """Seconds after which :meth:`tick`, or until the gate has opened at least :meth:`load`, is due."""
        if self._timeline.awaited:
            return AWAITED_TICK_S
        return LOADING_TICK_S if self._start_up.is_active or self._correction.is_awaited else TICK_S

    def load(self) -> None:
        """Have the next participants load as soon as others have; see whether what an event waits for has come."""
        with self._lock:
            self._current.lab.tick()
            self._start_up.step()
            self._correction.step()
            self._course.play()
            self._course.look_at_timeline()

    def refresh(self) -> None:
        """Have the Engine asked for all containers, because events may have been missed."""
        with self._lock:
            self._containers.refresh_later()

    def docker_event(self, event: dict[str, Any]) -> None:
        """Handle one event of the Engine."""
        with self._lock:
            self._changes.take(event)

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
            self._start_up.begin(self._current.settings)
            self._sampling.check_disk()  # one that was ended before has a reason
            self._containers.report_ends()
            return {"changed": True}

    def status(self) -> dict[str, Any]:
        """The state of the run. It is over only once its participants have ended, or have had 5 s to do so."""
        with self._lock:
            return self._run_state.status()

    def holds(self) -> HoldsAnswer:
        """What the run holds of this lab host."""
        with self._lock:
            return what_is_held(self._state, self._course.has_ended)

    def _join_lab(self, settings: RunSettings) -> LabPart:
        return join_lab(
            settings.lab, settings.lab_host, self._run, self._state, lambda: self._watch, self._recorder.record
        )
