"""The start-up of a course: its participants load their engines, a few at a time, before the gate opens."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping

from fedsim_runner.contract.events import Event, LoadingStarted

from .admission import PER_CORE, Admission, limit_s
from .gate_files import Gate
from .supervision import Supervisor

NOT_LOADED = ("starting", "loading")


class Loading:
    """Admits one lab host's participants and reports what becomes of them. Times are on the supervisor's scale.

    Args:
        gate: where launchers find out that they may load.
        supervisor: knows who has loaded; the server is admitted first.
        start_cpu_s: CPU seconds that the engine of each participant of this lab host says it needs.
        cpus: each participant's CPU limit in cores, where it has one.
        lift: lifts a participant's limit; returns why it is still in force, None if it is not.
        restore: puts it back in force; returns why it is not, None if it is.
        cores: those of the machine; None: all that this process may use.
    """

    def __init__(
        self,
        gate: Gate,
        supervisor: Supervisor,
        start_cpu_s: Mapping[str, float],
        cpus: Mapping[str, float],
        lift: Callable[[str], str | None],
        restore: Callable[[str], str | None],
        cores: int | None = None,
    ) -> None:
        self._gate = gate
        self._supervisor = supervisor
        self._start_cpu_s = start_cpu_s
        self._cpus = cpus
        self._lift = lift
        self._restore = restore
        limits = {name: limit_s(seconds) for name, seconds in start_cpu_s.items()}
        self._admission = Admission(limits, PER_CORE * (cores or len(os.sched_getaffinity(0))))

    @property
    def is_done(self) -> bool:
        """Whether all participants have loaded, or were given up, so that the gate can open."""
        return self._admission.is_done

    def began(self) -> LoadingStarted:
        """The event that says that loading begins."""
        return LoadingStarted(len(self._start_cpu_s), self._admission.longest_s)

    def step(self, now: float) -> Iterator[Event]:
        """Admit and restrict participants; call it several times a second. Yields the journal events that this causes.

        Raises:
            CannotWriteError: a launcher cannot learn that it may load.
        """
        supervisor = self._supervisor
        done = {name for name, state in supervisor.states.items() if state not in NOT_LOADED}
        turn = self._admission.next(now, done)
        for name in turn.settled:
            if (reason := self._restore(name)) is not None:
                yield from supervisor.lose(name, f"its CPU limit could not be restored: {reason}", now)
        for name in turn.overdue:
            yield from supervisor.lose(name, self._describe_overdue(name), now)
        for name in turn.admitted if supervisor.outcome is None else ():
            if self._lift(name) is not None:  # it loads all the same, but slowly
                self._admission.prolong(name, self._start_cpu_s[name] / self._cpus[name])
            self._gate.admit(name)
            yield from supervisor.feed_loading(name)

    def _describe_overdue(self, name: str) -> str:
        return f"did not load its engine within {self._admission.limit_s(name):g} s"
