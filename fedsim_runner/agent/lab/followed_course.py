"""A course that another agent judges: what is fed goes to that agent, and what it has decided is known here."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from fedsim_runner.contract import participant_events as reported
from fedsim_runner.contract.course_state import Outcome
from fedsim_runner.contract.events import ClientLost, Event, LabHostCutOff, OutcomeReceived

from ..course.limits import Limits
from ..course.participants import KEPT_LINES
from ..course.supervision import Supervisor
from ..course.verdict import Verdict
from ..run_settings import RunSettings
from .uplink import Uplink

# The server's agent has ended if it closes its connections, or refuses others, for so long.
CLOSED_S = 5.0


@dataclass
class _Signs:
    """What is known of devices besides what they report; it is passed on with the next sign of life."""

    frozen: set[str] = field(default_factory=set)
    working: set[str] = field(default_factory=set)


class _PassedOn(Verdict):
    """The verdict is another agent's."""

    def mark_down(self, device: str, reason: str, now: float) -> list[Event]:
        return []  # what has been passed on says it, too


class FollowedCourse(Supervisor):
    """The participants of this lab host, as far as their own reports go; judgements come from the server's lab host.

    Args:
        settings: of the run.
        limits: its time limits.
        uplink: the channel to the agent that judges.
        offset_s: returns the clock of its lab host minus the one here.
        server_host: the name of that lab host.
        now: when the course begins.
    """

    judges = False
    _verdict_kind = _PassedOn

    def __init__(
        self,
        settings: RunSettings,
        limits: Limits,
        uplink: Uplink,
        offset_s: Callable[[], float],
        server_host: str,
        now: float,
    ) -> None:
        super().__init__(settings.roles, settings.total_rounds, limits)
        self._uplink = uplink
        self._offset_s = offset_s
        self._server_host = server_host
        self._silence_timeout_s = settings.lab_silence_s
        self._wall_span = settings.time_scale.describe_wall
        self._began = now
        self._lines: dict[str, deque[str]] = {}
        self._signs = _Signs()
        self._failures: set[tuple[str | None, str]] = set()

    # -- what is passed on --------------------------------------------------------------------------------------------

    def feed_loading(self, device: str) -> list[Event]:
        super().feed_loading(device)
        self._pass_on("loading", device)
        return []

    def feed_log(self, device: str, line: str, now: float) -> None:
        super().feed_log(device, line, now)
        self._lines.setdefault(device, deque(maxlen=KEPT_LINES)).append(line)

    def feed_report(self, device: str, report: reported.Reported, now: float) -> Iterator[Event]:
        self.feed_event(device, report.event, now)
        moment = time.time() if report.t is None else report.t
        self._pass_on("report", device, line=reported.to_line(report.event, moment + self._offset_s()))
        yield from ()

    def feed_activity(self, device: str, line: str, now: float) -> None:
        super().feed_activity(device, line, now)
        moved = _move(line, self._offset_s())
        if moved is not None:
            self._pass_on("activity", device, line=moved)

    def feed_heartbeat(self, device: str, now: float) -> None:
        super().feed_heartbeat(device, now)
        self._signs.working.add(device)

    def feed_frozen(self, device: str, frozen: bool, now: float) -> None:
        super().feed_frozen(device, frozen, now)
        (self._signs.frozen.add if frozen else self._signs.frozen.discard)(device)

    def feed_exit(
        self, device: str, exit_code: int, oom_killed: bool, now: float, last_lines: Iterable[str] = ()
    ) -> list[Event]:
        lines = list(last_lines)
        super().feed_exit(device, exit_code, oom_killed, now, lines)
        self._pass_on("exit", device, exit_code=exit_code, oom_killed=bool(oom_killed), lines=lines)
        return []

    def feed_restart(self, device: str) -> None:
        super().feed_restart(device)
        self._pass_on("restart", device)

    def feed_disk_full(self, device: str, reason: str, now: float) -> list[Event]:
        self._pass_on("disk_full", device, reason=reason)
        return []

    def lose(self, device: str, reason: str, now: float) -> list[Event]:
        self._pass_on("lose", device, reason=reason)
        return []

    def fail(self, device: str | None, reason: str) -> list[Event]:
        if self._verdict.outcome is None and (device, reason) not in self._failures:
            self._failures.add((device, reason))
            self._pass_on("fail", device, reason=reason)
        return []

    def flush(self) -> None:
        """Pass on the log lines that have gathered."""
        for device in list(self._lines):
            self._pass_on_lines(device)

    def signs(self) -> tuple[set[str], set[str]]:
        """Return the devices that are frozen, and those that have been seen to work since the last call."""
        working, self._signs.working = self._signs.working, set()
        return self._signs.frozen, working

    # -- what the judging agent says ----------------------------------------------------------------------------------

    def tick(self, now: float) -> list[Event]:
        """Learn what has been decided."""
        if self._verdict.outcome is not None:
            return []
        said = self._said
        events: list[Event] = []
        for name, reason in said.get("lost", {}).items():
            if name in self._participants and name not in self._verdict.lost:
                self._verdict.give_up(name, str(reason))
                events.append(ClientLost(name, str(reason), self._participants[name].oom_killed))
        outcome = Outcome.parse(said.get("outcome"))
        if outcome is not None:
            self._verdict.outcome = outcome
            return [*events, OutcomeReceived(outcome.status, outcome.reason, outcome.device)]
        reason = self._why_cut_off(now)
        if reason is not None:
            self._verdict.outcome = Outcome("failed", reason)
            return [*events, LabHostCutOff(self._server_host, reason)]
        return events

    @property
    def round(self) -> int:
        return int(self._said.get("round", 0))

    @property
    def rounds_done(self) -> int:
        return int(self._said.get("rounds_done", 0))

    @property
    def states(self) -> dict[str, str]:
        return {**{name: state for name, (state, _, _) in self._elsewhere.items()}, **super().states}

    def live_state(self, device: str) -> str:
        return super().live_state(device) if device in self._participants else str(self._elsewhere[device][1])

    def has_joined(self, device: str) -> bool:
        return super().has_joined(device) if device in self._participants else bool(self._elsewhere[device][2])

    @property
    def _said(self) -> dict[str, Any]:
        return self._uplink.state or {}

    @property
    def _elsewhere(self) -> dict[str, Any]:
        """The states of devices for which events of the timeline wait."""
        return dict(self._said.get("devices", {}))

    def _why_cut_off(self, now: float) -> str | None:
        host = self._server_host
        if self._uplink.is_new_server:
            return f"the agent of lab host {host}, which carries the server, was restarted"
        closed_at = self._uplink.closed_at
        if closed_at is not None and now - max(closed_at, self._began) >= CLOSED_S:
            return f"the agent of lab host {host}, which carries the server, has ended"
        silent_s = now - max(self._began, self._uplink.heard_at or 0.0)
        if silent_s >= self._silence_timeout_s:
            return f"nothing was heard from lab host {host}, which carries the server, for {self._wall_span(silent_s)}"
        return None

    def _pass_on(self, what: str, device: str | None, **rest: Any) -> None:
        if device is not None:
            self._pass_on_lines(device)
        self._uplink.send(what=what, device=device, **rest)

    def _pass_on_lines(self, device: str) -> None:
        lines = self._lines.pop(device, None)
        if lines:
            self._uplink.send(what="log", device=device, lines=list(lines))


def _move(line: str, offset_s: float) -> str | None:
    """Return a line of activity with its time on the other clock; None if it is none."""
    try:
        found = json.loads(line)
        moment = found["t"]
        if isinstance(moment, bool) or not isinstance(moment, int | float):
            return None
        return json.dumps({**found, "t": round(moment + offset_s, 4)})
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
