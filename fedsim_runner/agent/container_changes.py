"""What the agent does when a device's container starts or ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..contract import events
from ..contract.names import LABEL_DEVICE, LABEL_RUN
from .containers import Containers
from .course.watch import Watch
from .current import Current
from .gatekeeper import Gatekeeper
from .host.fleet import Container
from .host.samples import Sampler
from .limit_correction import LimitCorrection
from .links.run_links import RunLinks
from .recording import Recorder
from .timeline.timeline import Timeline

AT_THE_GATE = ("starting", "loading", "ready")


class ContainerChanges:
    """Acts on changes of the containers of one run. Not thread-safe: its owner holds a lock.

    Args:
        run: its id.
        current: the settings.
        containers: those of the devices.
        watch: the course.
        gatekeeper: connects devices, and lets them begin.
        links: of the devices.
        sampler: what they use.
        timeline: starts some of them anew.
        correction: of their CPU limits.
        recorder: writes events.
    """

    def __init__(
        self,
        run: str,
        current: Current,
        containers: Containers,
        watch: Watch,
        gatekeeper: Gatekeeper,
        links: RunLinks,
        sampler: Sampler,
        timeline: Timeline,
        correction: LimitCorrection,
        recorder: Recorder,
    ) -> None:
        self._run = run
        self._current = current
        self._containers = containers
        self._watch = watch
        self._gatekeeper = gatekeeper
        self._links = links
        self._sampler = sampler
        self._timeline = timeline
        self._correction = correction
        self._recorder = recorder

    def take(self, event: Mapping[str, Any]) -> None:
        """Take one event of the Engine."""
        attributes = (event.get("Actor") or {}).get("Attributes") or {}
        action = event.get("Action")
        if action == "die" and attributes.get(LABEL_RUN) == self._run and attributes.get(LABEL_DEVICE):
            # Before anything else: a restarted container must find it shut.
            self._gatekeeper.shut()
        self._containers.on_event(event)
        if action == "die":
            self.admit_late_starters()

    def on_started(self, container: Container) -> None:
        """Connect a device that was started, unless it is to stay out."""
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
        self._correction.on_started(name)
        self._recorder.record(events.DeviceStarted(name))
        self._gatekeeper.shape_new_interface(name)

    def on_stopped(self, container: Container) -> None:
        """Release what belongs to a process that runs no longer."""
        self._sampler.forget(container.device)
        self._links.forget(container.device)

    def on_exit(self, container: Container, lines: list[str]) -> None:
        """Have the course know of an end; ``lines``: the last ones of the container's output."""
        name, code = container.device, container.exit_code
        assert code is not None
        if self._watch.supervisor is None or self._timeline.takes_end(name):
            self._recorder.record(events.DeviceExited(name, code, container.oom_killed))
        elif name in self._current.settings.roles:  # else it has left the run, and its end was looked up meanwhile
            self._watch.on_ended(name, code, container.oom_killed, lines)

    def admit_late_starters(self) -> None:
        """Reopen the gate, shut because a client was lost or started anew, for those that are waiting at it."""
        supervisor = self._watch.supervisor
        if supervisor is None or not (self._current.settings.go_on or self._timeline.brings_back):
            return
        if any(supervisor.states[name] in AT_THE_GATE for name in self._containers.running_pids()):
            self._gatekeeper.reopen()
