"""The start-up of a course on a lab host: from the request to open the gate until it opens."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..contract.atomic import CannotWriteError
from ..contract.events import AgentCannotWrite, Event, GateOpened
from .containers import Containers
from .course.loading import NOT_LOADED, Loading
from .course.watch import Watch
from .gatekeeper import Gatekeeper
from .host.cpu_lift import CpuLift
from .lab.part import LabPart
from .run_settings import RunSettings


class StartUp:
    """Has the participants load their engines without CPU limits, then opens the gate. Its owner holds a lock.

    Args:
        gatekeeper: opens the gate.
        containers: the device containers.
        watch: reads what participants report.
        record: writes an event to the journal.
        fail: called with the reason why the course cannot begin.
        lab: knows when the gate opens on all lab hosts.
    """

    def __init__(
        self,
        gatekeeper: Gatekeeper,
        containers: Containers,
        watch: Watch,
        record: Callable[[Event], None],
        fail: Callable[[str], None],
        lab: Callable[[], LabPart],
    ) -> None:
        self._gatekeeper = gatekeeper
        self._containers = containers
        self._watch = watch
        self._record = record
        self._fail = fail
        self._lab = lab
        self._loading: Loading | None = None
        self._reported_limits = False
        self._timing_s = 0.0  # devices time their reference steps before the gate opens, on all lab hosts at once

    @property
    def is_active(self) -> bool:
        """Whether participants are loading."""
        return self._loading is not None

    def begin(self, settings: RunSettings) -> None:
        """Begin to load; supervision begins with it."""
        self._watch.begin()
        self._loading = self._prepare(settings)
        self._record(self._loading.began())
        self.step()

    def resume(self, settings: RunSettings) -> None:
        """Continue what an earlier agent began: nothing that it has lifted stays lifted, and who has loaded has."""
        assert self._watch.supervisor is not None
        self._loading = self._prepare(settings)
        for name in settings.roles:
            if (reason := self._restore(name)) is not None:
                reason = f"its CPU limit could not be restored: {reason}"
                self._watch.emit_all(self._watch.supervisor.lose(name, reason, time.monotonic()))
        self.step()

    def step(self) -> None:
        """Do what is due; call it several times a second while this :attr:`is_active`."""
        loading, supervisor = self._loading, self._watch.supervisor
        if loading is None or supervisor is None:
            return
        self._watch.read(name for name, state in supervisor.states.items() if state in NOT_LOADED)
        try:
            self._watch.emit_all(loading.step(time.monotonic()))
            if supervisor.outcome is None and loading.is_done and not self._containers.unknown:
                self._open()
        except (CannotWriteError, RuntimeError) as error:
            self._fail(str(error))
        if supervisor.outcome is not None:
            self._loading = None

    def _open(self) -> None:
        """Open the gate, once it is known when: on all lab hosts at the same time."""
        due = self._lab().gate_time()
        if due is None:
            return
        at = self._gatekeeper.open(due + self._timing_s)
        self._loading = None
        self._watch.open(at)
        self._record(GateOpened(at))
        self._lab().opened(at)

    def _prepare(self, settings: RunSettings) -> Loading:
        assert self._watch.supervisor is not None
        self._limits = CpuLift(settings.cpus)
        self._timing_s = settings.timing_s
        return Loading(
            self._gatekeeper.gate,
            self._watch.supervisor,
            settings.start_cpu_s,
            settings.cpus,
            self._lift,
            self._restore,
        )

    def _lift(self, name: str) -> str | None:
        container = self._containers.by_device.get(name)
        if container is None or not container.pid:
            return None
        reason = self._limits.lift(name, container.pid, container.id)
        if reason is not None and not self._reported_limits:
            self._reported_limits = True
            self._record(AgentCannotWrite(f"devices load within their CPU limits, which takes longer: {reason}"))
        return reason

    def _restore(self, name: str) -> str | None:
        container = self._containers.by_device.get(name)
        if container is None or not container.pid:
            return None
        return self._limits.restore(name, container.pid, container.id)
