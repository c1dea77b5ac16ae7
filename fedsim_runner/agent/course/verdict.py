"""Whether a course goes on: which clients are lost, and how it has ended.

A course has succeeded when the server and every client that was not lost have reported that they finished; exit codes
after that do not matter, because FederatedScope often hangs or crashes while it shuts down.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from fedsim_runner.contract import events as journal
from fedsim_runner.contract.course_state import Outcome
from fedsim_runner.contract.events import Event

from .activities import Activities
from .limits import Limits
from .participants import Participant
from .progress import Clocks, Progress


class Verdict:
    """The verdict on one course.

    Args:
        participants: by name.
        server: the server's name; None: it is on another lab host.
        limits: say what a lost client means.
        progress: how far the course has got.
        clocks: since when it is silent.
        activities: of the participants.

    Attributes:
        outcome: None while the course runs or is in its grace period.
        lost: the clients that were given up, with the reasons.
    """

    def __init__(
        self,
        participants: Mapping[str, Participant],
        server: str | None,
        limits: Limits,
        progress: Progress,
        clocks: Clocks,
        activities: Activities,
    ) -> None:
        self._participants = participants
        self._server = server
        self._limits = limits
        self._progress = progress
        self._clocks = clocks
        self._activities = activities
        self._succeeded_at: float | None = None
        self.outcome: Outcome | None = None
        self.lost: dict[str, str] = {}

    @property
    def has_succeeded(self) -> bool:
        """Whether all have finished, so that the course is over, at the latest after its grace period."""
        return self._succeeded_at is not None

    def check_success(self, now: float) -> None:
        """See whether all have finished."""
        if self._succeeded_at is not None or self.outcome is not None or not self._progress.server_done:
            return
        if all(one.done or one.state == "lost" or one.missed_end for one in self._clients()):
            self._succeeded_at = now

    def end_in_success(self, now: float) -> list[Event]:
        """End a course that has succeeded once all participants have ended, or their grace period is over.

        Those that were offline when the server finished are not waited for.
        """
        assert self._succeeded_at is not None
        everybody = self._participants.values()
        gone = all(one.exit_code is not None or one.state == "lost" or one.missed_end for one in everybody)
        if not gone and now - self._succeeded_at < self._limits.grace_s:
            return []
        self.outcome = Outcome("finished")
        missed = [name for name, one in self._participants.items() if one.missed_end and not one.done]
        end = journal.CourseFinished(self._progress.rounds_done, dict(self._progress.results))
        return [*map(journal.DeviceMissedEnd, missed), end]

    def excuse_from_the_end(self) -> None:
        """Once the course is over, nobody tells clients that are offline, nor when they are back."""
        clients = self._clients()
        # On a lab host without the server, only a client can have heard of it.
        if self._progress.server_done and (self._server is not None or any(one.done for one in clients)):
            for one in clients:
                one.missed_end = one.missed_end or one.offline

    def mark_down(self, device: str, reason: str, now: float) -> list[Event]:
        """Mark a participant down: depending on the policy the course fails, or goes on without this client."""
        participant = self._participants[device]
        if self.outcome is not None or participant.state == "lost":
            return []
        if participant.role == "server" or not self._limits.go_on:
            return self.fail(device, reason)
        left = self._clients_left() - 1
        if left < self._limits.min_clients:
            return self.fail(device, f"{reason}; {self._describe_left(left)}")
        participant.crashed_at = None
        self.give_up(device, reason)
        self._clocks.silent_since = now  # the others get time to notice and go on
        self.check_success(now)
        return [journal.ClientLost(device, reason, participant.oom_killed, tuple(participant.lines))]

    def mark_down_together(self, devices: Collection[str], reason: str, now: float) -> list[Event]:
        """Mark all of these down for one reason, which none of them is to blame for."""
        if not self._limits.go_on or self._server in devices:
            return self.fail(None, reason)
        going = [name for name in devices if self._participants[name].state != "lost"]
        left = self._clients_left() - len(going)
        if going and left < self._limits.min_clients:
            return self.fail(None, f"{reason}; {self._describe_left(left)}")
        return [event for name in going for event in self.mark_down(name, reason, now)]

    def give_up(self, device: str, reason: str) -> None:
        """Note that a client is lost, whose steps and messages no longer count."""
        participant = self._participants[device]
        participant.state = "lost"
        self.lost[device] = reason
        self._activities.forget(device, participant.client_id)

    def fail(self, device: str | None, reason: str) -> list[Event]:
        """End the course in failure, unless it has ended."""
        if self.outcome is not None:
            return []
        lines: tuple[str, ...] = ()
        if device is not None and device in self._participants:
            lines = tuple(self._participants[device].lines)
            self._participants[device].state = "failed"
        self.outcome = Outcome("failed", reason, device, lines)
        return [journal.CourseFailed(device, reason, lines)]

    def _clients(self) -> list[Participant]:
        return [one for one in self._participants.values() if one.role == "client"]

    def _clients_left(self) -> int:
        return sum(one.state != "lost" for one in self._clients())

    def _describe_left(self, left: int) -> str:
        clients = "client is" if left == 1 else "clients are"
        return f"{left} {clients} left, and course.min_clients is {self._limits.min_clients}"
