"""Is the course alive, how far is it, and who is to blame when it is not: a pure state machine over log lines.

The caller feeds log lines, exits and the time (``now``: seconds on any steady scale); every call returns the journal
events it caused, as dicts without ``t``. Rounds are counted from 1 in events: ``round_started {"round": 1}`` is
FederatedScope's "Round #0", and ``evaluated {"round": n}`` means that n rounds have been aggregated.

A course has succeeded when the server logged its final evaluation and every client its finish message; exit codes
after that do not matter, because FederatedScope often hangs or crashes while it shuts down.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from . import loglines

Event = dict[str, Any]
DeviceState = Literal["starting", "ready", "joined", "training", "evaluating", "finished", "exited", "failed"]

KEPT_LINES = 20
# CPU seconds within which a participant says its first word: 1 on an ordinary core, 4 on the slowest that was tried.
START_CPU_S = 5.0
TRACEBACK_GRACE_S = 15.0  # FederatedScope can crash in one thread and stay: give the process this long to end


@dataclass(frozen=True)
class Outcome:
    """How the course ended; ``device`` and ``last_lines`` name who ended a failed one."""

    status: Literal["finished", "failed"]
    reason: str | None = None
    device: str | None = None
    last_lines: tuple[str, ...] = ()


@dataclass
class _Participant:
    role: Literal["server", "client"]
    state: DeviceState = "starting"
    client_id: int | None = None
    last_news: float = 0.0
    trained: int = -1  # FederatedScope's number of the last round it reported training of
    tested: int = -1  # ... and evaluation of
    done: bool = False
    exit_code: int | None = None
    paused: bool = False
    traceback_at: float | None = None
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))


class Supervisor:
    """Follows one course. ``now`` of the constructor is when the participants were let go (the gate's time).

    Args:
        participants: role of every participant whose log is fed; on several lab hosts, this host's.
        total_rounds: ``federate.total_round_num``.
        timeout_s: seconds for the whole course.
        silence_timeout_s: seconds without a line of any participant after which the one waited for is blamed.
        now: start of both clocks.
        grace_s: seconds that participants get to end by themselves once the course has succeeded.
        start_s: seconds that a participant may take to start, silence or not: with a hundredth of a core that is long.
    """

    def __init__(
        self,
        participants: Mapping[str, Literal["server", "client"]],
        total_rounds: int,
        timeout_s: float,
        silence_timeout_s: float,
        now: float,
        *,
        grace_s: float = 5.0,
        start_s: Mapping[str, float] | None = None,
    ) -> None:
        self._participants = {name: _Participant(role, last_news=now) for name, role in participants.items()}
        self._server = next((name for name, role in participants.items() if role == "server"), None)
        self._total_rounds = total_rounds
        self._timeout_s = timeout_s
        self._silence_timeout_s = silence_timeout_s
        self._grace_s = grace_s
        self._start_s = dict(start_s or {})
        self._started = now
        self._last_news = now
        self._round = -1  # FederatedScope's number of the round in training
        self._evaluating: int | None = None  # rounds aggregated, while only their evaluation is out
        # The next round starts before the clients' evaluation of the last one is in: announced, not yet merged.
        self._announced: deque[int] = deque()
        self._training_finished = False
        self._server_done = self._server is None
        self._succeeded_at: float | None = None
        self._results: dict[str, float] = {}
        self._rounds_done = 0
        self._outcome: Outcome | None = None

    @property
    def outcome(self) -> Outcome | None:
        """None while the course runs (or is in its grace)."""
        return self._outcome

    @property
    def round(self) -> int:
        """Round being trained, from 1; 0 before training starts."""
        return min(max(self._round + 1, self._rounds_done), self._total_rounds)

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
    def states(self) -> dict[str, str]:
        """State of every participant."""
        return {name: participant.state for name, participant in self._participants.items()}

    def device_round(self, device: str) -> int:
        """Last round (from 1) that the participant is known to have trained; the course's for the server."""
        participant = self._participants[device]
        return self.round if participant.role == "server" else participant.trained + 1

    def exit_code(self, device: str) -> int | None:
        """Exit code of a participant that has ended."""
        return self._participants[device].exit_code

    def silent_for(self, now: float) -> float:
        """Seconds since the last line of any participant."""
        return now - self._last_news

    def feed_line(self, device: str, line: str, now: float) -> list[Event]:
        """One line of the participant's log or standard error."""
        participant = self._participants.get(device)
        text = loglines.clean(line)
        if participant is None or not text.strip():
            return []
        participant.lines.append(text)
        participant.last_news = self._last_news = now
        if loglines.message(line) is not None:
            participant.traceback_at = None
        elif text.startswith("Traceback (most recent call last)"):
            participant.traceback_at = now
        parsed = loglines.parse(line)
        if parsed is None or self._outcome is not None:
            return []
        events = self._take(device, participant, parsed)
        self._check_success(now)
        return events

    def feed_exit(
        self, device: str, exit_code: int, oom_killed: bool, now: float, last_lines: Iterable[str] = ()
    ) -> list[Event]:
        """The participant's process ended. Feed its remaining log lines first.

        ``last_lines``: what it said on standard error, for a participant that has logged nothing (a crash at import).
        """
        participant = self._participants.get(device)
        if participant is None:
            return []
        extra = [loglines.clean(line) for line in last_lines if line.strip()]
        if extra:
            known = set(participant.lines)
            participant.lines.extend(line for line in extra if line not in known)
        participant.exit_code = exit_code
        participant.last_news = self._last_news = now
        events: list[Event] = [
            {"event": "device_exited", "device": device, "exit_code": exit_code, "oom_killed": oom_killed}
        ]
        if participant.done or self._outcome is not None:
            participant.state = "exited"
            return events
        participant.state = "failed"
        return events + self._fail(device, _exit_reason(exit_code, oom_killed, participant.lines))

    def feed_paused(self, device: str, paused: bool) -> None:
        """The participant's processes are frozen (``docker pause``, SIGSTOP): the first to blame for silence."""
        if device in self._participants:
            self._participants[device].paused = paused

    def fail(self, device: str | None, reason: str) -> list[Event]:
        """End the course for a reason from outside (a link lost, an agent gone)."""
        return self._fail(device, reason)

    def tick(self, now: float) -> list[Event]:
        """Call about once a second: time limits, grace."""
        if self._outcome is not None:
            return []
        if self._succeeded_at is not None:
            gone = all(participant.exit_code is not None for participant in self._participants.values())
            if gone or now - self._succeeded_at >= self._grace_s:
                self._outcome = Outcome("finished")
                return [{"event": "course_finished", "rounds": self._rounds_done, "results": self.results}]
            return []
        for name, participant in self._participants.items():
            if participant.traceback_at is not None and now - participant.traceback_at >= TRACEBACK_GRACE_S:
                return self._fail(name, f"crashed and hangs: {_last(participant.lines)}")
        if now - self._started >= self._timeout_s:
            blamed, why = self._waited_for()
            return self._fail(blamed, f"the course took longer than {self._timeout_s:g} s; {why}")
        silent_s = now - self._last_news
        return self._blame_silence(silent_s) if silent_s >= self._silence_timeout_s else []

    def _take(self, device: str, participant: _Participant, line: loglines.LogLine) -> list[Event]:
        match line.kind:
            case "ready" if participant.state == "starting":
                participant.state = "ready"
                return [{"event": "device_ready", "device": device}]
            case "assigned" if participant.client_id is None:
                participant.client_id, participant.state = line.number, "joined"
                return [{"event": "device_joined", "device": device, "client_id": line.number}]
            case "round" if participant.role == "server" and line.number is not None and line.number > self._round:
                self._round, self._evaluating, participant.state = line.number, None, "training"
                return [{"event": "round_started", "round": line.number + 1}]
            case "evaluating" if participant.role == "server" and line.number is not None:
                self._evaluating, participant.state = line.number + 1, "evaluating"
                self._announced.append(line.number + 1)
            case "training_finished" if not self._training_finished:
                self._training_finished, self._evaluating = True, self._total_rounds
                self._announced.append(self._total_rounds)
                participant.state = "evaluating"
                return [{"event": "training_finished"}]
            case "done" if participant.role == "server" and not self._server_done:
                self._server_done = participant.done = True
                participant.state = "finished"
                return [{"event": "device_finished", "device": device}]
            case "finish" if participant.role == "client" and not participant.done:
                participant.done, participant.state = True, "finished"
                return [{"event": "device_finished", "device": device}]
            case "result":
                return self._take_result(device, participant, line)
            case "training_failed":
                return self._fail(device, f"the server gave up training at round {line.number}")
        return []

    def _take_result(self, device: str, participant: _Participant, line: loglines.LogLine) -> list[Event]:
        if line.number is None or not line.results:
            return []
        if participant.role == "server" and line.role == "server":
            results = next(
                (line.results[form] for form in ("weighted_avg", "avg", "raw") if form in line.results), None
            )
            if results is None:
                return []
            # Clients number an evaluation r, a global one r + 1: the line that announced it is the same for both.
            done = self._announced.popleft() if self._announced else line.number
            self._rounds_done = max(self._rounds_done, min(done, self._total_rounds))
            self._results = results
            return [{"event": "evaluated", "round": self._rounds_done, "results": results}]
        results = {name: value for values in line.results.values() for name, value in values.items()}
        if participant.role == "server":  # the server's last lines repeat each client's final results
            owner = next((n for n, p in self._participants.items() if p.client_id == line.client_id), None)
            if owner is None or line.client_id is None:
                return []
            return [_client_result(owner, min(line.number, self._total_rounds), results)]
        number = line.number
        if any(name.startswith("train_") for name in results):
            participant.trained, participant.state = max(participant.trained, number), "training"
        else:
            participant.tested = max(participant.tested, number)
        return [_client_result(device, min(number + 1, self._total_rounds), results)]

    def _check_success(self, now: float) -> None:
        if self._succeeded_at is not None or self._outcome is not None or not self._server_done:
            return
        if all(p.done for p in self._participants.values() if p.role == "client"):
            self._succeeded_at = now

    def _blame_silence(self, silent_s: float) -> list[Event]:
        """The course has failed, unless those that are waited for may still be busy with their start."""
        candidates, what = self._candidates()
        due = [name for name in candidates if not self._may_be_starting(name, silent_s)]
        if candidates and not due:
            return []
        blamed, why = self._blame(due, what)
        return self._fail(blamed, f"silent for {silent_s:.0f} s; {why}")

    def _may_be_starting(self, name: str, silent_s: float) -> bool:
        participant = self._participants[name]
        return participant.state == "starting" and not participant.paused and silent_s < self._start_s.get(name, 0.0)

    def _waited_for(self) -> tuple[str | None, str]:
        """Whom the others wait for, and the sentence that says so."""
        return self._blame(*self._candidates())

    def _blame(self, candidates: list[str], what: str) -> tuple[str | None, str]:
        frozen = [name for name in candidates if self._participants[name].paused]
        if frozen:
            return frozen[0], f"{frozen[0]} is paused, and {what}"
        if candidates:
            others = f" (and {len(candidates) - 1} more)" if len(candidates) > 1 else ""
            return candidates[0], f"{what}: waiting for {candidates[0]}{others}"
        return None, what

    def _candidates(self) -> tuple[list[str], str]:
        server = [self._server] if self._server is not None else []
        # The server broadcasts in join order and one after another: a client that blocks its connection keeps the
        # model from those behind it, so the first in that order is the one to name.
        clients = sorted(
            (name for name, p in self._participants.items() if p.role == "client"),
            key=lambda name: (self._participants[name].client_id or 0, name),
        )
        people = self._participants
        if server and people[server[0]].state == "starting":
            return server, "the server is not listening yet"
        if self._server_done:  # also where the server is on another lab host
            unfinished = [name for name in clients if not people[name].done]
            if self._server is not None:
                return unfinished, "the course is over but a client has not received its end"
            return unfinished, "clients have not finished"
        if self._round < 0 and not self._training_finished:
            for state, what in (("starting", "a client is not listening yet"), ("ready", "a client has not joined")):
                late = [name for name in clients if people[name].state == state]
                if late:
                    return late, what
            return server, "all clients have joined but training has not started"
        if self._evaluating is not None:
            answered = [name for name in clients if people[name].tested >= self._evaluating - 1]
            missing = [name for name in clients if name not in answered]
            if missing and (answered or any(people[name].tested >= 0 for name in clients) or self._paused(missing)):
                return missing, f"no evaluation results of round {self._evaluating}"
            return server, f"the evaluation of round {self._evaluating} does not end"
        missing = [name for name in clients if people[name].trained < self._round]
        if missing:
            return missing, f"no training results in round {self._round + 1}"
        paused = self._paused(clients)
        return (paused or server), f"all clients have trained in round {self._round + 1} but it does not end"

    def _paused(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if self._participants[name].paused]

    def _fail(self, device: str | None, reason: str) -> list[Event]:
        if self._outcome is not None:
            return []
        lines = tuple(self._participants[device].lines) if device in self._participants else ()
        if device in self._participants:
            self._participants[device].state = "failed"
        self._outcome = Outcome("failed", reason, device, lines)
        return [{"event": "course_failed", "device": device, "reason": reason, "last_lines": list(lines)}]


def _client_result(device: str, number: int, results: dict[str, float]) -> Event:
    return {"event": "client_result", "device": device, "round": number, "results": results}


def _last(lines: Iterable[str]) -> str:
    text = [line.strip() for line in lines if line.strip()]
    return text[-1] if text else "it said nothing"


def _exit_reason(exit_code: int, oom_killed: bool, lines: Iterable[str]) -> str:
    if oom_killed:
        return f"killed for lack of memory: its memory limit was reached (exit code {exit_code})"
    number = exit_code - 128 if exit_code > 128 else -exit_code
    if number > 0:
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        return f"ended by {name} (exit code {exit_code})"
    if exit_code == 0:
        return "ended before the course was over (exit code 0)"
    return f"ended with exit code {exit_code}: {_last(lines)}"
