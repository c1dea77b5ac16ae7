"""What has taken too long: the whole course, or a participant that is silent, frozen, or hangs after a crash."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from fedsim_runner.contract.events import Event

from .blame import Blame
from .exit_reasons import last_line
from .limits import Limits
from .participants import Participant
from .progress import Clocks
from .verdict import Verdict
from .waiting import Waiting

CRASH_GRACE_S = 15.0  # a participant can crash in one thread and keep running: give the process this long to end


class Overdue:
    """Holds one course to its time limits.

    Args:
        participants: by name.
        limits: the limits.
        clocks: when the gate opened, and since when the course is silent.
        waiting: knows who is waited for.
        blame: knows who is to blame.
        verdict: marks these down.

    Attributes:
        unheard: devices whose lab hosts give no sign of life: nobody is blamed for silence before more is known of
            these.
    """

    def __init__(
        self,
        participants: Mapping[str, Participant],
        limits: Limits,
        clocks: Clocks,
        waiting: Waiting,
        blame: Blame,
        verdict: Verdict,
    ) -> None:
        self._participants = participants
        self._limits = limits
        self._span = limits.time_scale.describe
        self._clocks = clocks
        self._waiting = waiting
        self._blame = blame
        self._verdict = verdict
        self.unheard: Collection[str] = frozenset()

    def check(self, now: float) -> list[Event]:
        """Mark down what is overdue."""
        limits, clocks = self._limits, self._clocks
        if clocks.opened is not None and now - clocks.opened >= limits.timeout_s:
            blamed, why = self._blame.find_waited_for()
            reason = f"the course took longer than {self._span(limits.timeout_s)}; {why}{self._blame.explain(blamed)}"
            return self._verdict.fail(blamed, reason)
        events = self._mark_stuck_down(now)
        if self._waiting.nobody is not None:
            clocks.silent_since = now
        if not events and clocks.opened is not None and now - clocks.silent_since >= limits.silence_timeout_s:
            events = self._blame_silence(now)
        self._verdict.check_success(now)
        return events

    def _mark_stuck_down(self, now: float) -> list[Event]:
        """Mark those down that hang after a crash or, if the others go on without them, have been frozen too long."""
        events: list[Event] = []
        crash_grace_s = self._limits.time_scale.to_wall(CRASH_GRACE_S)
        for name, participant in self._participants.items():
            if participant.state in ("lost", "finished", "exited"):
                continue
            if participant.crashed_at is not None and now - participant.crashed_at >= crash_grace_s:
                events += self._verdict.mark_down(name, f"crashed and hangs: {last_line(participant.lines)}", now)
            elif self._limits.go_on and self._blame.is_frozen_too_long(participant, now):
                # With a round deadline the others go on without it, so the course need not fall silent.
                reason = f"frozen for {self._span(self._limits.silence_timeout_s)}"
                events += self._verdict.mark_down(name, reason, now)
        return events

    def _blame_silence(self, now: float) -> list[Event]:
        """Mark a participant down, unless those waited for are seen to work."""
        candidates, what = self._waiting.candidates()
        if not frozenset(self.unheard).isdisjoint(candidates):
            return []
        due = [name for name in candidates if not self._blame.is_excused(name, now)]
        if candidates and not due:
            return []
        frozen = [name for name in due if self._participants[name].frozen_since is not None]
        if not frozen and self._blame.is_server_at_work(now):
            return []
        silent = f"silent for {self._span(now - self._clocks.silent_since, 0)}"
        blamed, why = self._blame.among(due, what)
        if not self._limits.go_on or blamed is None:
            return self._verdict.fail(blamed, f"{silent}; {why}{self._blame.explain(blamed)}")
        events: list[Event] = []
        for name in frozen or [blamed]:  # all frozen ones together, or each would cost another silence timeout
            reason = f"{silent}; {self._blame.among([name], what)[1]}{self._blame.explain(name)}"
            events += self._verdict.mark_down(name, reason, now)
        return events
