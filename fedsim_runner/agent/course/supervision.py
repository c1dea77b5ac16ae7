"""Is the course alive, how far has it got, and which device is to blame if it hangs: a pure state machine over events.

The caller feeds participants' events, log lines (whose wording does not matter), activity lines, exits and the time
(``now``: seconds on any steady scale); every call returns the journal events it caused, without their time.
Journal events count rounds from 1: ``round_started {"round": 1}`` is a participant's round 0, and ``evaluated
{"round": n}`` means that n rounds have been aggregated.

Participants load their engines first, and the course's time begins when the gate opens (:meth:`Supervisor.open`). One
that ends before that, or never gets ready, is down as it would be during the course.

A course has succeeded when the server and every client that was not lost have reported that they finished; exit codes
after that do not matter, because FederatedScope often hangs or crashes while it shuts down.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from fedsim_runner.contract import events as journal
from fedsim_runner.contract import participant_events as reported
from fedsim_runner.contract.course_state import Outcome
from fedsim_runner.contract.events import Event
from fedsim_runner.contract.log_text import clean, shown, without_numbers

from .activities import Activities
from .blame import Blame
from .exit_reasons import exit_reason, last_line
from .limits import Limits
from .live_state import live_state
from .waiting import Participant, Progress, Role, Waiting

SHOWN_CLIENTS = 3
_MOST_WARNINGS = 50  # different ones of a whole course: participants may log anything
CRASH_GRACE_S = 15.0  # a participant can crash in one thread and keep running: give the process this long to end


class Supervisor:
    """Follows one course.

    Args:
        participants: role of every participant whose events are fed.
        total_rounds: ``federate.total_round_num``.
        limits: its time limits, and what a lost client means.
        now: when the gate opens, which starts both clocks; None: it is not known yet.
    """

    def __init__(
        self,
        participants: Mapping[str, Role],
        total_rounds: int,
        limits: Limits,
        now: float | None = None,
    ) -> None:
        self._participants = {name: Participant(role) for name, role in participants.items()}
        self._server = next((name for name, role in participants.items() if role == "server"), None)
        self._by_client_id: dict[int, str] = {}
        self._admitted: dict[int, str] = {}  # hosts by client id, also those of clients on other lab hosts
        self._total_rounds = total_rounds
        self._limits = limits
        self._span = limits.time_scale.describe
        self._opened = now
        self._silent_since = now or 0.0
        self._progress = Progress(server_done=self._server is None)
        self._activities = Activities(participants, self._server)
        self._waiting = Waiting(self._participants, self._server, self._progress, self._activities)
        self._blame = Blame(self._participants, self._server, self._waiting, limits.silence_timeout_s)
        # Evaluations announced but not yet merged: the next round starts before the clients' results are in.
        self._announced: deque[int] = deque()
        self._succeeded_at: float | None = None
        self._results: dict[str, float] = {}
        self._rounds_done = 0
        self._lost: dict[str, str] = {}
        self._warnings: set[str] = set()  # without their numbers
        self._offline: frozenset[str] = frozenset()  # devices of the whole run
        self._unheard: frozenset[str] = frozenset()  # whose lab hosts give no sign of life
        self._outcome: Outcome | None = None

    #: Whether the journal of this agent is where its judgements are recorded.
    judges = True

    def open(self, now: float) -> None:
        """Start both clocks: the gate opens now, or a little later."""
        self._opened = self._silent_since = now

    @property
    def is_open(self) -> bool:
        """Whether the gate has opened, so that participants take part and no longer load."""
        return self._opened is not None

    @property
    def outcome(self) -> Outcome | None:
        """None while the course runs or is in its grace period."""
        return self._outcome

    @property
    def round(self) -> int:
        """The round being trained, from 1; 0 before training starts."""
        return min(max(self._progress.round + 1, self._rounds_done), self._total_rounds)

    @property
    def rounds_done(self) -> int:
        """Rounds aggregated and evaluated so far."""
        return self._rounds_done

    @property
    def total_rounds(self) -> int:
        return self._total_rounds

    @property
    def results(self) -> dict[str, float]:
        """The server's last aggregated evaluation."""
        return dict(self._results)

    @property
    def lost(self) -> dict[str, str]:
        """The clients that were given up, with the reasons."""
        return dict(self._lost)

    @property
    def roles(self) -> dict[str, Role]:
        """The role of every participant."""
        return {name: participant.role for name, participant in self._participants.items()}

    @property
    def states(self) -> dict[str, str]:
        """The state of every participant according to its events."""
        return {name: participant.state for name, participant in self._participants.items()}

    def live_state(self, device: str) -> str:
        """What the participant does now; see :func:`~.live_state.live_state`."""
        participant = self._participants[device]
        return live_state(participant, self._activities.state(device, participant.client_id), self.is_open)

    def device_round(self, device: str) -> int:
        """The last round (from 1) that a client is known to have worked on; for the server, the course's round."""
        participant = self._participants[device]
        if participant.role == "server":
            return self.round
        working = self._activities.round(device)
        last = max(participant.trained, participant.trained if working is None else working)
        return min(last + 1, self._total_rounds)

    def has_joined(self, device: str) -> bool:
        """Whether a client has its id, or has ended; of a server, whether its first round has begun."""
        participant = self._participants[device]
        if participant.role == "server":
            return self._progress.round >= 0 or participant.exit_code is not None
        return participant.client_id is not None or participant.exit_code is not None

    def exit_code(self, device: str) -> int | None:
        """The exit code of a participant; None while it runs."""
        return self._participants[device].exit_code

    def feed_loading(self, device: str) -> list[Event]:
        """Note that the participant loads its engine from now on."""
        self._participants[device].state = "loading"
        return [journal.DeviceLoading(device)]

    def feed_log(self, device: str, line: str, now: float) -> None:
        """Take one line of the participant's log: a sign of life, kept to be shown if the participant fails."""
        participant = self._participants.get(device)
        text = clean(line)
        if participant is None or not text.strip():
            return
        participant.lines.append(shown(text))
        if participant.state != "lost":
            self._silent_since = now

    def feed_report(self, device: str, report: reported.Reported, now: float) -> Iterator[Event]:
        """Take an event with the participant's own time, which is that of the journal's events: files are read only
        twice a second, and rounds may be shorter."""
        for event in self.feed_event(device, report.event, now):
            yield event if report.t is None else replace(event, t=report.t)

    def feed_event(self, device: str, event: reported.ParticipantEvent, now: float) -> list[Event]:
        """Take an event that the participant reports. Feed the log lines that came before it first."""
        participant = self._participants.get(device)
        if participant is None or participant.state == "lost":
            return []
        self._silent_since = now
        match event:
            case reported.Crashed():
                participant.crashed_at = now
            case reported.Resumed():
                participant.crashed_at = None
        if self._outcome is not None:
            return []
        events = self._handle(device, participant, event, now)
        self._check_success(now)
        return events

    def feed_activity(self, device: str, line: str, now: float) -> None:
        """Take one line of the participant's ``activity.jsonl``."""
        participant = self._participants.get(device)
        if participant is None or participant.state == "lost":
            return
        if self._activities.feed(device, line):
            self._silent_since = now

    def feed_heartbeat(self, device: str, now: float) -> None:
        """Note that the participant is working (its CPU time grows, bytes move), though it reports nothing."""
        if device in self._participants:
            self._participants[device].last_heartbeat = now

    def feed_exit(
        self, device: str, exit_code: int, oom_killed: bool, now: float, last_lines: Iterable[str] = ()
    ) -> list[Event]:
        """Note that the participant's process ended. Feed its remaining log lines and events first.

        ``last_lines``: its standard error, for a participant that has logged nothing (a crash at import).
        """
        participant = self._participants.get(device)
        if participant is None:
            return []
        extra = [shown(clean(line)) for line in last_lines if line.strip()]
        if extra:
            known = set(participant.lines)
            participant.lines.extend(line for line in extra if line not in known)
        participant.exit_code, participant.oom_killed = exit_code, oom_killed
        participant.frozen_since = None
        events: list[Event] = [journal.DeviceExited(device, exit_code, oom_killed)]
        if participant.state == "lost":
            return events
        self._silent_since = now
        if participant.role == "server" and participant.done and (alone := self._left_alone()):
            named = ", ".join(alone[:SHOWN_CLIENTS]) + (" and others" if len(alone) > SHOWN_CLIENTS else "")
            reason = f"ended (exit code {exit_code}) without telling {named} that the course is over"
            return events + self._mark_down(device, reason, now)
        if participant.done or participant.missed_end or self._outcome is not None:
            participant.state = "exited"
            return events
        reason = exit_reason(exit_code, oom_killed, participant.lines)
        return events + self._mark_down(device, reason if self.is_open else f"before the gate opened: {reason}", now)

    def feed_frozen(self, device: str, frozen: bool, now: float) -> None:
        """Note whether the participant is frozen (``docker pause``, SIGSTOP), and so the first to blame for silence."""
        participant = self._participants.get(device)
        if participant is not None and (participant.frozen_since is not None) != frozen:
            participant.frozen_since = now if frozen else None

    def feed_offline(self, devices: Collection[str], now: float) -> None:
        """Note which devices of the run are offline: silence loses none of them, and nobody waits for them.

        What is waited for in silence has its whole time again from each change on.
        """
        if self._offline == frozenset(devices):
            return
        self._offline = frozenset(devices)
        for name, participant in self._participants.items():
            if participant.offline and name not in self._offline:
                participant.last_heartbeat = now
            participant.offline = name in self._offline
        self._silent_since = now
        self._excuse_from_the_end()
        self._check_success(now)

    def feed_restart(self, device: str) -> None:
        """Note that the participant begins anew: its end was no loss."""
        participant = self._participants.get(device)
        if participant is not None and participant.state != "lost":
            participant.state, participant.exit_code, participant.crashed_at = "starting", None, None
            participant.frozen_since = None

    def feed_disk_full(self, device: str, reason: str, now: float) -> list[Event]:
        """Note that the participant uses more of the disk than it may; after its part in the course it may end so."""
        participant = self._participants.get(device)
        return [] if participant is None or participant.done else self._mark_down(device, reason, now)

    def lose(self, device: str, reason: str, now: float) -> list[Event]:
        """Mark a participant down: as an earlier agent did, or because it never gets ready."""
        return self._mark_down(device, reason, now) if device in self._participants else []

    def feed_unheard(self, devices: Collection[str]) -> None:
        """Note whose lab hosts give no sign of life: nobody is blamed for silence before more is known of these."""
        self._unheard = frozenset(devices)

    def lose_together(self, devices: Collection[str], reason: str, now: float) -> list[Event]:
        """Mark all of these down for one reason, which none of them is to blame for."""
        if not self._limits.go_on or self._server in devices:
            return self._fail(None, reason)
        going = [name for name in devices if self._participants[name].state != "lost"]
        left = self._clients_left() - len(going)
        if going and left < self._limits.min_clients:
            return self._fail(None, f"{reason}; {self._describe_left(left)}")
        return [event for name in going for event in self._mark_down(name, reason, now)]

    def fail(self, device: str | None, reason: str) -> list[Event]:
        """End the course for a reason from outside (a broken link, a lost agent)."""
        return self._fail(device, reason)

    def tick(self, now: float) -> list[Event]:
        """Check time limits and the grace period; call about once a second."""
        if self._outcome is not None:
            return []
        if self._succeeded_at is not None:
            gone = all(one.exit_code is not None or one.state == "lost" for one in self._participants.values())
            if gone or now - self._succeeded_at >= self._limits.grace_s:
                self._outcome = Outcome("finished")
                missed = [name for name, one in self._participants.items() if one.missed_end and not one.done]
                end = journal.CourseFinished(self._rounds_done, self.results)
                return [*map(journal.DeviceMissedEnd, missed), end]
            return []
        if self._opened is not None and now - self._opened >= self._limits.timeout_s:
            blamed, why = self._blame.find_waited_for()
            reason = (
                f"the course took longer than {self._span(self._limits.timeout_s)}; {why}{self._blame.explain(blamed)}"
            )
            return self._fail(blamed, reason)
        events: list[Event] = []
        crash_grace_s = self._limits.time_scale.to_wall(CRASH_GRACE_S)
        for name, participant in self._participants.items():
            if participant.state in ("lost", "finished", "exited"):
                continue
            if participant.crashed_at is not None and now - participant.crashed_at >= crash_grace_s:
                events += self._mark_down(name, f"crashed and hangs: {last_line(participant.lines)}", now)
            elif self._limits.go_on and self._blame.is_frozen_too_long(participant, now):
                # With a round deadline the others go on without it, so the course need not fall silent.
                events += self._mark_down(name, f"frozen for {self._span(self._limits.silence_timeout_s)}", now)
        if self._waiting.nobody is not None:
            self._silent_since = now
        if not events and self.is_open and now - self._silent_since >= self._limits.silence_timeout_s:
            events = self._blame_silence(now)
        self._check_success(now)
        return events

    def _handle(
        self, device: str, participant: Participant, event: reported.ParticipantEvent, now: float
    ) -> list[Event]:
        progress = self._progress
        of_server = participant.role == "server"
        match event:
            case reported.Ready() if participant.state in ("starting", "loading"):
                participant.state = "ready"
                return [journal.DeviceReady(device)]
            case reported.Admitted(client_id=number, host=host) if of_server:
                return self._admit(host, number)
            case reported.Joined(client_id=number) if not of_server:
                if participant.state in ("ready", "starting", "loading"):
                    participant.state = "joined"
                # The server's word counts; without it (its lab host is another one) the client's own.
                return [] if participant.client_id is not None else self._identify(device, participant, number)
            case reported.RoundStarted(round=number) if of_server and number > progress.round:
                progress.round, progress.evaluating, participant.state = number, None, "training"
                return [journal.RoundStarted(number + 1)]
            case reported.EvaluationStarted(round=number) if of_server:
                progress.evaluating, participant.state = number + 1, "evaluating"
                self._announced.append(number + 1)
            case reported.TrainingFinished() if of_server and not progress.training_finished:
                progress.training_finished, progress.evaluating = True, self._reached
                self._announced.append(self._reached)
                participant.state = "evaluating"
                return [journal.TrainingFinished()]
            case reported.Finished() if not participant.done:
                participant.done, participant.state = True, "finished"
                progress.server_done = progress.server_done or of_server
                self._excuse_from_the_end()
                return [journal.DeviceFinished(device)]
            case reported.MessageRefused(client_id=number, reason=reason) if of_server:
                if number in self._by_client_id:
                    self._blame.note_refusal(self._by_client_id[number], reason)
            case reported.Warned(text=text):
                return self._warn(device, text)
            case reported.Result():
                return self._handle_result(device, participant, event)
            case reported.TargetReached(accuracy=accuracy, target=target) if of_server:
                return [journal.TargetReached(self._rounds_done, accuracy, target)]
            case reported.TrainingFailed(round=number) if of_server:
                return self._fail(device, f"the server gave up training at round {number}")
            case reported.DeadlinePassed() if of_server:
                return [journal.RoundDeadline(event.round + 1, event.arrived, event.wanted)]
            case reported.QuorumReached() if of_server:
                return [journal.RoundQuorum(event.round + 1, event.arrived, event.wanted)]
            case reported.Update() | reported.ClientLost() if of_server:
                return self._handle_policy(event, now)
        return []

    def _left_alone(self) -> list[str]:
        """The clients that the server has not begun to tell that the course is over, as it must before it ends."""
        by_id = self._admitted | self._by_client_id
        names = {number: name for number, name in sorted(by_id.items()) if self._activities.is_left_alone(number)}
        ended = {name for name, one in self._participants.items() if one.done or one.missed_end or one.state == "lost"}
        return [name for name in names.values() if name not in ended | self._offline]

    def _warn(self, device: str, text: str) -> list[Event]:
        """Pass a warning on, unless another participant has logged the same."""
        same = without_numbers(text)
        if same in self._warnings or len(self._warnings) >= _MOST_WARNINGS:
            return []
        self._warnings.add(same)
        return [journal.DeviceWarned(device, text)]

    def _admit(self, host: str, number: int) -> list[Event]:
        """The server has given an id to the client at this host, which in containers is a device's name."""
        self._admitted[number] = host
        participant = self._participants.get(host)
        if participant is None or participant.role == "server" or participant.state == "lost":
            return []
        self._by_client_id = {id: name for id, name in self._by_client_id.items() if name != host}
        self._by_client_id[number] = host
        return [] if participant.client_id == number else self._identify(host, participant, number)

    def _identify(self, device: str, participant: Participant, number: int) -> list[Event]:
        participant.client_id = number
        self._by_client_id.setdefault(number, device)
        return [journal.DeviceJoined(device, number)]

    def _handle_policy(self, event: reported.Update | reported.ClientLost, now: float) -> list[Event]:
        """Handle what the server did about one client."""
        if isinstance(event, reported.ClientLost):
            self._admitted.pop(event.client_id, None)
        owner = self._by_client_id.get(event.client_id)
        if owner is None:
            return []
        if isinstance(event, reported.Update):
            return [] if event.used else [journal.UpdateLate(owner, event.round + 1)]
        # Usually the server repeats what the agent announced; if it found out on its own, the client is down as well.
        if not self._participants[owner].done:
            return self._mark_down(owner, f"given up by the server: {event.reason}", now)
        return []

    def _handle_result(self, device: str, participant: Participant, result: reported.Result) -> list[Event]:
        number, results = result.round, result.metrics
        if participant.role == "server" and result.client_id is None:
            # A client's evaluation is numbered r, a global one r + 1; the event that announced it is the same for both.
            done = self._announced.popleft() if self._announced else number
            self._rounds_done = max(self._rounds_done, min(done, self._total_rounds))
            self._results = results
            return [journal.Evaluated(self._rounds_done, results)]
        if participant.role == "server" and result.client_id is not None:
            owner = self._by_client_id.get(result.client_id)  # its last lines repeat each client's final results
            return [] if owner is None else [journal.ClientResult(owner, min(number, self._reached), results)]
        if result.stage == "training":
            participant.trained, participant.state = max(participant.trained, number), "training"
        else:
            participant.tested = max(participant.tested, number)
        # Its own number may be ahead of what has been read of the server, as rounds may be shorter than that takes.
        # One that no round has is that of the evaluation after an early stop.
        own = number + 1 if number < self._total_rounds else self._reached or self._total_rounds
        return [journal.ClientResult(device, own, results)]

    @property
    def _reached(self) -> int:
        """Rounds that have begun. After an early stop, FederatedScope's own numbers exceed all of them."""
        return min(self._progress.round + 1, self._total_rounds)

    def _excuse_from_the_end(self) -> None:
        """Once the course is over, nobody tells clients that are offline, nor when they are back."""
        clients = [one for one in self._participants.values() if one.role == "client"]
        # On a lab host without the server, only a client can have heard of it.
        if self._progress.server_done and (self._server is not None or any(one.done for one in clients)):
            for one in clients:
                one.missed_end = one.missed_end or one.offline

    def _check_success(self, now: float) -> None:
        if self._succeeded_at is not None or self._outcome is not None or not self._progress.server_done:
            return
        clients = [one for one in self._participants.values() if one.role == "client"]
        if all(one.done or one.state == "lost" or one.missed_end for one in clients):
            self._succeeded_at = now

    def _blame_silence(self, now: float) -> list[Event]:
        """Mark a participant down, unless those waited for are seen to work."""
        candidates, what = self._waiting.candidates()
        if not self._unheard.isdisjoint(candidates):
            return []
        due = [name for name in candidates if not self._blame.is_excused(name, now)]
        if candidates and not due:
            return []
        silent = f"silent for {self._span(now - self._silent_since, 0)}"
        blamed, why = self._blame.among(due, what)
        if not self._limits.go_on or blamed is None:
            return self._fail(blamed, f"{silent}; {why}{self._blame.explain(blamed)}")
        frozen = [name for name in due if self._participants[name].frozen_since is not None]
        events: list[Event] = []
        for name in frozen or [blamed]:  # all frozen ones together, or each would cost another silence timeout
            events += self._mark_down(
                name, f"{silent}; {self._blame.among([name], what)[1]}{self._blame.explain(name)}", now
            )
        return events

    def _mark_down(self, device: str, reason: str, now: float) -> list[Event]:
        """Mark a participant down: depending on the policy the course fails, or goes on without this client."""
        participant = self._participants[device]
        if self._outcome is not None or participant.state == "lost":
            return []
        if participant.role == "server" or not self._limits.go_on:
            return self._fail(device, reason)
        left = self._clients_left() - 1
        if left < self._limits.min_clients:
            return self._fail(device, f"{reason}; {self._describe_left(left)}")
        participant.state = "lost"
        participant.crashed_at = None
        self._lost[device] = reason
        self._activities.forget(device, participant.client_id)
        self._silent_since = now  # the others get time to notice and go on
        self._check_success(now)
        return [journal.ClientLost(device, reason, participant.oom_killed, tuple(participant.lines))]

    def _clients_left(self) -> int:
        return sum(one.role == "client" and one.state != "lost" for one in self._participants.values())

    def _describe_left(self, left: int) -> str:
        clients = "client is" if left == 1 else "clients are"
        return f"{left} {clients} left, and course.min_clients is {self._limits.min_clients}"

    def _fail(self, device: str | None, reason: str) -> list[Event]:
        if self._outcome is not None:
            return []
        lines = tuple(self._participants[device].lines) if device in self._participants else ()
        if device in self._participants:
            self._participants[device].state = "failed"
        self._outcome = Outcome("failed", reason, device, lines)
        return [journal.CourseFailed(device, reason, lines)]
