"""Correcting the CPU limits of devices whose types say how fast they are, by the steps that they time before the gate.

It needs no memory of its own: what was timed stays in the participants' events, which a later agent reads again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from ..contract.cpu_limit import limit_to
from ..contract.events import AgentCannotWrite, Event, LimitCorrected
from ..contract.reference_windows import (
    PAUSE_S,
    StepTime,
    common_correction,
    corrected_cpus,
    correction,
    whole_s,
)
from .containers import Containers
from .course.watch import Watch
from .current import Current
from .gatekeeper import Gatekeeper
from .host.cpu_lift import CpuLift

# What has not been reported so long before the pause ends does not count for the factor that devices share.
_BEFORE_SECOND_S = PAUSE_S / 3


class LimitCorrection:
    """Corrects limits of one lab host's devices. Its owner holds a lock.

    Args:
        current: the settings.
        gatekeeper: knows when the gate opens.
        containers: the device containers.
        watch: reads what participants report.
        record: writes an event to the journal.
    """

    def __init__(
        self,
        current: Current,
        gatekeeper: Gatekeeper,
        containers: Containers,
        watch: Watch,
        record: Callable[[Event], None],
    ) -> None:
        self._current = current
        self._gatekeeper = gatekeeper
        self._containers = containers
        self._watch = watch
        self._record = record
        self._common: float | None = None  # the factor of the devices that share one
        self._done: set[str] = set()
        self._recorded: set[str] = set()
        self._has_failed = False

    @property
    def is_awaited(self) -> bool:
        """Whether devices are about to report what they have timed, between the two timings."""
        settings, open_at = self._current.settings, self._gatekeeper.open_at
        if open_at is None or not settings.step_times.keys() - self._done:
            return False
        left_s = open_at - time.time()
        # The first timing of one that has seen at once that the gate will open ends a pause and a second timing before
        # it does. A pause before that is early enough for others, which time as long as they have.
        return 0 < left_s < self._second_s + 2 * PAUSE_S

    @property
    def _second_s(self) -> float:
        """How long before the gate opens the second timing begins."""
        return (self._current.settings.timing_s - whole_s(0.0)) / 2

    def step(self) -> None:
        """Correct the limits of those that have reported; call it several times a second while this is awaited."""
        if self.is_awaited:
            self._watch.read(self._current.settings.step_times.keys() - self._done)
        if self._gatekeeper.open_at is None or self._watch.supervisor is None:
            return
        timed = self._watch.supervisor.step_times
        settings = self._current.settings
        waiting = settings.step_times.keys() - self._done
        for name in sorted(timed.keys() & waiting - settings.corrected_together):
            self._correct(name, correction(settings.step_times[name], timed[name]))
        if together := waiting & settings.corrected_together:
            self._find_common(timed, self._gatekeeper.open_at)
            if self._common is not None:
                for name in sorted(together):
                    self._correct(name, self._common)

    def _find_common(self, timed: Mapping[str, StepTime], open_at: float) -> None:
        """Determine the factor once all of the devices that share it have reported, or it is time."""
        settings = self._current.settings
        known = timed.keys() & settings.corrected_together
        is_time = open_at - time.time() < self._second_s + _BEFORE_SECOND_S
        if self._common is None and known and (is_time or known == settings.corrected_together):
            self._common = common_correction((settings.step_times[name], timed[name]) for name in known)

    def on_started(self, name: str) -> None:
        """A container of the device has started, with the limit that the Engine knows."""
        self._done.discard(name)

    def _correct(self, name: str, factor: float) -> None:
        settings, container = self._current.settings, self._containers.by_device.get(name)
        if container is None or not container.pid:
            return
        self._done.add(name)
        before = settings.cpus[name]
        cpus = corrected_cpus(before, factor)
        if cpus == before:
            return
        limit = limit_to(cpus, settings.time_scale.factor, name)
        try:
            is_new = CpuLift({}).change(container.pid, container.id, limit)
        except OSError as error:
            if not self._has_failed:
                why = f"{error.filename}: {error.strerror}"
                self._record(AgentCannotWrite(f"CPU limits stay as planned, however long steps take: {why}"))
            self._has_failed = True
        else:
            if is_new and name not in self._recorded:  # a device that is started anew gets the same one again
                self._recorded.add(name)
                self._record(LimitCorrected(name, before, cpus))
