"""What it means to a course that the process of a participant has ended."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from fedsim_runner.contract import events as journal
from fedsim_runner.contract.events import Event

from .activities import Activities
from .client_ids import ClientIds
from .exit_reasons import exit_reason
from .participants import Participant
from .progress import Clocks
from .verdict import Verdict

SHOWN_CLIENTS = 3


class ProcessEnds:
    """The ends of the participants of one course."""

    def __init__(
        self,
        participants: Mapping[str, Participant],
        ids: ClientIds,
        activities: Activities,
        clocks: Clocks,
        verdict: Verdict,
    ) -> None:
        self._participants = participants
        self._ids = ids
        self._activities = activities
        self._clocks = clocks
        self._verdict = verdict

    def take(self, device: str, exit_code: int, oom_killed: bool, now: float, offline: Collection[str]) -> list[Event]:
        """Take the end of a process; the course has its remaining log lines and events.

        Args:
            offline: devices of the whole run that are so.
        """
        participant = self._participants[device]
        participant.exit_code, participant.oom_killed = exit_code, oom_killed
        participant.frozen_since = None
        events: list[Event] = [journal.DeviceExited(device, exit_code, oom_killed)]
        if participant.state == "lost":
            return events
        self._clocks.silent_since = now
        if participant.role == "server" and participant.done and (alone := self._left_alone(offline)):
            named = ", ".join(alone[:SHOWN_CLIENTS]) + (" and others" if len(alone) > SHOWN_CLIENTS else "")
            reason = f"ended (exit code {exit_code}) without telling {named} that the course is over"
            return events + self._verdict.mark_down(device, reason, now)
        if participant.done or participant.missed_end or self._verdict.outcome is not None:
            participant.state = "exited"
            return events
        reason = exit_reason(exit_code, oom_killed, participant.lines)
        if self._clocks.opened is None:
            reason = f"before the gate opened: {reason}"
        return events + self._verdict.mark_down(device, reason, now)

    def _left_alone(self, offline: Collection[str]) -> list[str]:
        """The clients that the server has not begun to tell that the course is over, as it must before it ends."""
        ended = {name for name, one in self._participants.items() if one.done or one.missed_end or one.state == "lost"}
        excused = ended.union(offline)
        alone = (name for number, name in self._ids.names().items() if self._activities.is_left_alone(number))
        return [name for name in alone if name not in excused]
