"""Is the course alive, how far has it got, and which device is to blame if it hangs: a pure state machine over events.

The caller feeds participants' events, log lines (whose wording does not matter), activity lines, exits and the time
(``now``: seconds on any steady scale); every call returns the journal events it caused, without their time.

Participants load their engines first, and the course's time begins when the gate opens (:meth:`Supervisor.open`). One
that ends before that, or never gets ready, is down as it would be during the course.

What is fed here is judged elsewhere: events by reported_events.py, ends by process_ends.py, silence by overdue.py, and
what follows from that for the course by verdict.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import ClassVar

from fedsim_runner.contract import events as journal
from fedsim_runner.contract import participant_events as reported
from fedsim_runner.contract.course_state import Outcome
from fedsim_runner.contract.events import Event
from fedsim_runner.contract.log_text import clean, shown
from fedsim_runner.contract.reference_windows import StepTime

from .activities import Activities
from .blame import Blame
from .client_ids import ClientIds
from .limits import Limits
from .live_state import live_state
from .overdue import Overdue
from .participants import Participant, Role
from .process_ends import ProcessEnds
from .progress import Clocks, Progress
from .reported_events import ReportedEvents
from .verdict import Verdict
from .waiting import Waiting


class Supervisor:
    """Follows one course.

    Args:
        participants: role of every participant whose events are fed.
        total_rounds: ``federate.total_round_num``.
        limits: its time limits, and what a lost client means.
        now: when the gate opens, which starts both clocks; None: it is not known yet.
    """

    #: Whether the journal of this agent is where its judgements are recorded.
    judges: ClassVar[bool] = True
    _verdict_kind: ClassVar[type[Verdict]] = Verdict

    def __init__(
        self,
        participants: Mapping[str, Role],
        total_rounds: int,
        limits: Limits,
        now: float | None = None,
    ) -> None:
        known = self._participants = {name: Participant(role) for name, role in participants.items()}
        server = next((name for name, role in participants.items() if role == "server"), None)
        self._clocks = Clocks(now, now or 0.0)
        self._progress = Progress(total_rounds, server_done=server is None)
        self._activities = Activities(participants, server)
        self._verdict = self._verdict_kind(known, server, limits, self._progress, self._clocks, self._activities)
        waiting = Waiting(known, server, self._progress, self._activities)
        blame = Blame(known, server, waiting, limits.silence_timeout_s)
        ids = ClientIds(known)
        self._reported = ReportedEvents(known, self._progress, ids, blame, self._verdict)
        self._ends = ProcessEnds(known, ids, self._activities, self._clocks, self._verdict)
        self._overdue = Overdue(known, limits, self._clocks, waiting, blame, self._verdict)
        self._offline: frozenset[str] = frozenset()  # devices of the whole run

    def open(self, now: float) -> None:
        """Start both clocks: the gate opens now, or a little later."""
        self._clocks.opened = self._clocks.silent_since = now

    @property
    def is_open(self) -> bool:
        """Whether the gate has opened, so that participants take part and no longer load."""
        return self._clocks.opened is not None

    @property
    def outcome(self) -> Outcome | None:
        """None while the course runs or is in its grace period."""
        return self._verdict.outcome

    @property
    def round(self) -> int:
        """The round being trained, from 1; 0 before training starts."""
        return max(self._progress.reached, self._progress.rounds_done)

    @property
    def rounds_done(self) -> int:
        """Rounds aggregated and evaluated so far."""
        return self._progress.rounds_done

    @property
    def total_rounds(self) -> int:
        return self._progress.total_rounds

    @property
    def results(self) -> dict[str, float]:
        """The server's last aggregated evaluation."""
        return dict(self._progress.results)

    @property
    def lost(self) -> dict[str, str]:
        """The clients that were given up, with the reasons."""
        return dict(self._verdict.lost)

    @property
    def roles(self) -> dict[str, Role]:
        """The role of every participant."""
        return {name: participant.role for name, participant in self._participants.items()}

    @property
    def states(self) -> dict[str, str]:
        """The state of every participant according to its events."""
        return {name: participant.state for name, participant in self._participants.items()}

    @property
    def step_times(self) -> dict[str, StepTime]:
        """What a reference step took on those that have timed theirs."""
        known = ((name, participant.step_time) for name, participant in self._participants.items())
        return {name: time for name, time in known if time is not None}

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
        return min(last + 1, self._progress.total_rounds)

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
            self._clocks.silent_since = now

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
        self._clocks.silent_since = now
        match event:
            case reported.Crashed():
                participant.crashed_at = now
            case reported.Resumed():
                participant.crashed_at = None
        if self._verdict.outcome is not None:
            return []
        events = self._reported.take(device, event, now)
        self._verdict.check_success(now)
        return events

    def feed_activity(self, device: str, line: str, now: float) -> None:
        """Take one line of the participant's ``activity.jsonl``."""
        participant = self._participants.get(device)
        if participant is None or participant.state == "lost":
            return
        if self._activities.feed(device, line):
            self._clocks.silent_since = now

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
        return self._ends.take(device, exit_code, oom_killed, now, self._offline)

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
        self._clocks.silent_since = now
        self._verdict.excuse_from_the_end()
        self._verdict.check_success(now)

    def feed_restart(self, device: str) -> None:
        """Note that the participant begins anew: its end was no loss."""
        participant = self._participants.get(device)
        if participant is not None and participant.state != "lost":
            participant.state, participant.exit_code, participant.crashed_at = "starting", None, None
            participant.frozen_since = None

    def feed_disk_full(self, device: str, reason: str, now: float) -> list[Event]:
        """Note that the participant uses more of the disk than it may; after its part in the course it may end so."""
        participant = self._participants.get(device)
        return [] if participant is None or participant.done else self._verdict.mark_down(device, reason, now)

    def lose(self, device: str, reason: str, now: float) -> list[Event]:
        """Mark a participant down: as an earlier agent did, or because it never gets ready."""
        return self._verdict.mark_down(device, reason, now) if device in self._participants else []

    def feed_unheard(self, devices: Collection[str]) -> None:
        """Note whose lab hosts give no sign of life: nobody is blamed for silence before more is known of these."""
        self._overdue.unheard = frozenset(devices)

    def lose_together(self, devices: Collection[str], reason: str, now: float) -> list[Event]:
        """Mark all of these down for one reason, which none of them is to blame for."""
        return self._verdict.mark_down_together(devices, reason, now)

    def fail(self, device: str | None, reason: str) -> list[Event]:
        """End the course for a reason from outside (a broken link, a lost agent)."""
        return self._verdict.fail(device, reason)

    def tick(self, now: float) -> list[Event]:
        """Check time limits and the grace period; call about once a second."""
        if self._verdict.outcome is not None:
            return []
        return self._verdict.end_in_success(now) if self._verdict.has_succeeded else self._overdue.check(now)
