"""What participants report becomes events of the course: who takes part, which round it is, and with which results.

Journal events count rounds from 1: ``round_started {"round": 1}`` is a participant's round 0, and ``evaluated
{"round": n}`` means that n rounds have been aggregated.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from fedsim_runner.contract import events as journal
from fedsim_runner.contract import participant_events as reported
from fedsim_runner.contract.events import Event
from fedsim_runner.contract.log_text import without_numbers
from fedsim_runner.contract.reference_windows import StepTime

from .blame import Blame
from .client_ids import ClientIds
from .participants import Participant
from .progress import Progress
from .verdict import Verdict

_MOST_WARNINGS = 50  # different ones of a whole course: participants may log anything


class ReportedEvents:
    """What is reported of one course, in its order."""

    def __init__(
        self,
        participants: Mapping[str, Participant],
        progress: Progress,
        ids: ClientIds,
        blame: Blame,
        verdict: Verdict,
    ) -> None:
        self._participants = participants
        self._progress = progress
        self._ids = ids
        self._blame = blame
        self._verdict = verdict
        # Evaluations announced but not yet merged: the next round starts before the clients' results are in.
        self._announced: deque[int] = deque()
        self._warnings: set[str] = set()  # without their numbers

    def take(self, device: str, event: reported.ParticipantEvent, now: float) -> list[Event]:
        """Take an event that a participant reports; return those of the course that it is."""
        participant = self._participants[device]
        progress = self._progress
        of_server = participant.role == "server"
        match event:
            case reported.Ready() if participant.state in ("starting", "loading"):
                participant.state = "ready"
                return [journal.DeviceReady(device)]
            case reported.ReferenceTimed(seconds, cpu_s) if participant.step_time is None and min(seconds, cpu_s) > 0:
                participant.step_time = StepTime(seconds, cpu_s)
            case reported.Admitted(client_id=number, host=host) if of_server:
                return self._ids.admit(host, number)
            case reported.Joined(client_id=number) if not of_server:
                if participant.state in ("ready", "starting", "loading"):
                    participant.state = "joined"
                return self._ids.claim(device, number)
            case reported.RoundStarted(round=number) if of_server and number > progress.round:
                progress.round, progress.evaluating, participant.state = number, None, "training"
                return [journal.RoundStarted(number + 1)]
            case reported.EvaluationStarted(round=number) if of_server:
                progress.evaluating, participant.state = number + 1, "evaluating"
                self._announced.append(number + 1)
            case reported.TrainingFinished() if of_server and not progress.training_finished:
                progress.training_finished, progress.evaluating = True, progress.reached
                self._announced.append(progress.reached)
                participant.state = "evaluating"
                return [journal.TrainingFinished()]
            case reported.Finished() if not participant.done:
                participant.done, participant.state = True, "finished"
                progress.server_done = progress.server_done or of_server
                self._verdict.excuse_from_the_end()
                return [journal.DeviceFinished(device)]
            case reported.MessageRefused(client_id=number, reason=reason) if of_server:
                if (owner := self._ids.owner(number)) is not None:
                    self._blame.note_refusal(owner, reason)
            case reported.Warned(text=text):
                return self._warn(device, text)
            case reported.Result():
                return self._handle_result(device, participant, event)
            case reported.TargetReached(accuracy=accuracy, target=target) if of_server:
                return [journal.TargetReached(progress.rounds_done, accuracy, target)]
            case reported.TrainingFailed(round=number) if of_server:
                return self._verdict.fail(device, f"the server gave up training at round {number}")
            case reported.DeadlinePassed() if of_server:
                return [journal.RoundDeadline(event.round + 1, event.arrived, event.wanted)]
            case reported.QuorumReached() if of_server:
                return [journal.RoundQuorum(event.round + 1, event.arrived, event.wanted)]
            case reported.Update() | reported.ClientLost() if of_server:
                return self._handle_policy(event, now)
        return []

    def _warn(self, device: str, text: str) -> list[Event]:
        """Pass a warning on, unless another participant has logged the same."""
        same = without_numbers(text)
        if same in self._warnings or len(self._warnings) >= _MOST_WARNINGS:
            return []
        self._warnings.add(same)
        return [journal.DeviceWarned(device, text)]

    def _handle_policy(self, event: reported.Update | reported.ClientLost, now: float) -> list[Event]:
        """Handle what the server did about one client."""
        if isinstance(event, reported.ClientLost):
            self._ids.give_up(event.client_id)
        owner = self._ids.owner(event.client_id)
        if owner is None:
            return []
        if isinstance(event, reported.Update):
            return [] if event.used else [journal.UpdateLate(owner, event.round + 1)]
        # Usually the server repeats what the agent announced; if it found out on its own, the client is down as well.
        if not self._participants[owner].done:
            return self._verdict.mark_down(owner, f"given up by the server: {event.reason}", now)
        return []

    def _handle_result(self, device: str, participant: Participant, result: reported.Result) -> list[Event]:
        number, results, progress = result.round, result.metrics, self._progress
        if participant.role == "server" and result.client_id is None:
            # A client's evaluation is numbered r, a global one r + 1; the event that announced it is the same for both.
            done = self._announced.popleft() if self._announced else number
            progress.rounds_done = max(progress.rounds_done, min(done, progress.total_rounds))
            progress.results = results
            return [journal.Evaluated(progress.rounds_done, results)]
        if participant.role == "server" and result.client_id is not None:
            owner = self._ids.owner(result.client_id)  # its last lines repeat each client's final results
            return [] if owner is None else [journal.ClientResult(owner, min(number, progress.reached), results)]
        if result.stage == "training":
            participant.trained, participant.state = max(participant.trained, number), "training"
        else:
            participant.tested = max(participant.tested, number)
        # Its own number may be ahead of what has been read of the server, as rounds may be shorter than that takes.
        # One that no round has is that of the evaluation after an early stop.
        own = number + 1 if number < progress.total_rounds else progress.reached or progress.total_rounds
        return [journal.ClientResult(device, own, results)]
