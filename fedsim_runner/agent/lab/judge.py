"""The agent on the server's lab host: it takes the reports of the others, and judges the course for all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fedsim_runner.contract.device_file import Lab
from fedsim_runner.contract.events import AwaitingLabHosts, Event, GateMeasured, LabHostLost
from fedsim_runner.contract.participant_events import parse

from ..course.limits import Limits
from ..course.supervision import Supervisor
from ..course.watch import Watch
from ..run_settings import RunSettings
from .hub import Hub, Member

# From the last lab host's word that all is loaded to the gate: the others learn of the time before it has come.
OPENS_AFTER_S = 1.0
# An agent whose connection is closed has ended, unless it opens another one.
CLOSED_S = 5.0
# Agents give a sign of life twice a second. One that is late is not blamed in its devices' place.
UNHEARD_S = 3.0


class Judge:
    """Judges one course. Its owner holds a lock.

    Args:
        lab: the lab hosts of the run.
        hub: the channel.
        watch: the course on this lab host.
        record: writes an event to the journal.
    """

    def __init__(self, lab: Lab, hub: Hub, watch: Callable[[], Watch], record: Callable[[Event], None]) -> None:
        self._lab = lab
        self._hub = hub
        self._watch = watch
        self._record = record
        self._settings: RunSettings | None = None
        self._hosts = [one.name for one in lab.hosts if one.name != lab.server]
        self._began = 0.0
        self._lives: dict[str, str] = {}
        self._lost: set[str] = set()
        self._loaded: set[str] = set()
        self._missing: tuple[str, ...] = ()
        self._open_at: float | None = None
        self._opened: dict[str, tuple[float, float]] = {}  # on the clock here, and by how much that may be wrong
        self._is_skew_known = False

    def start(self) -> None:
        self._hub.start()

    def close(self) -> None:
        self._publish()
        self._hub.close()

    def supervise(self, settings: RunSettings, limits: Limits) -> Supervisor:
        self._settings = settings
        self._began = time.monotonic()
        self._lives = {name: one.life for name, one in self._hub.members().items() if one.life is not None}
        return Supervisor(settings.everyone, settings.total_rounds, limits)

    def why_not_resumed(self) -> str | None:
        # The others have ended their parts: what they had reported was not kept.
        return f"the agent of lab host {self._lab.server}, which carries the server, was restarted"

    def tick(self) -> None:
        if self._supervisor is not None:
            while not self._hub.inbox.empty():
                self._take(*self._hub.inbox.get())
            self._look_for_lost_hosts(self._supervisor, time.monotonic())
        self._publish()

    def gate_time(self) -> float | None:
        missing = tuple(host for host in self._hosts if host not in self._loaded | self._lost)
        if missing:
            if missing != self._missing:
                self._missing = missing
                self._record(AwaitingLabHosts(missing))
            return None
        if self._open_at is None:
            self._open_at = time.time() + OPENS_AFTER_S
            self._publish()
        return self._open_at

    def opened(self, at: float) -> None:
        self._note_opened(self._lab.server, at, 0.0)

    @property
    def _supervisor(self) -> Supervisor | None:
        return self._watch().supervisor

    def _devices_of(self, host: str) -> list[str]:
        elsewhere = self._settings.elsewhere if self._settings is not None else {}
        return [name for name, where in elsewhere.items() if where == host]

    def _look_for_lost_hosts(self, supervisor: Supervisor, now: float) -> None:
        if supervisor.outcome is not None:
            return
        unheard: list[str] = []
        for host, member in self._hub.members().items():
            if host in self._lost:
                continue
            reason = self._why_lost(host, member, now)
            if reason is not None:
                self._lose(supervisor, host, reason, now)
            elif member.closed_at is not None or now - (member.heard_at or self._began) >= UNHEARD_S:
                unheard += self._devices_of(host)
        supervisor.feed_unheard(unheard)

    def _lose(self, supervisor: Supervisor, host: str, reason: str, now: float) -> None:
        if supervisor.outcome is not None:
            return
        self._lost.add(host)
        self._record(LabHostLost(host, reason))
        self._emit(supervisor.lose_together(self._devices_of(host), f"lab host {host} is lost: {reason}", now))

    def _why_lost(self, host: str, member: Member, now: float) -> str | None:
        assert self._settings is not None
        limit_s, span = self._settings.lab_silence_s, self._settings.time_scale.describe_wall
        if member.life is not None and self._lives.setdefault(host, member.life) != member.life:
            return "its agent was restarted"
        if member.closed_at is not None and now - member.closed_at >= CLOSED_S:
            return "its agent has ended"
        silent_s = now - max(self._began, member.heard_at or 0.0)
        if silent_s < limit_s:
            return None
        if member.heard_at is None:
            return f"its agent has not reached this lab host's within {span(limit_s)}"
        return f"its agent has given no sign of life for {span(silent_s)}"

    def _take(self, host: str, message: Mapping[str, Any]) -> None:
        """Handle what another agent reports, unless its devices have been given up."""
        supervisor, now = self._supervisor, time.monotonic()
        assert supervisor is not None
        devices = self._devices_of(host)
        if host in self._lost or ("device" in message and message["device"] not in (*devices, None)):
            return
        device = message.get("device", "")
        match message["what"]:
            case "sign":
                for name in devices:
                    supervisor.feed_frozen(name, name in message["frozen"], now)
                    if name in message["working"]:
                        supervisor.feed_heartbeat(name, now)
            case "loading":
                self._emit(supervisor.feed_loading(device))
            case "log":
                for line in message["lines"]:
                    supervisor.feed_log(device, line, now)
            case "report":
                if (report := parse(message["line"])) is not None:
                    self._emit(supervisor.feed_report(device, report, now))
            case "activity":
                supervisor.feed_activity(device, message["line"], now)
            case "exit":
                # The server first: if it has given this client up, that is why the client has ended.
                self._watch().read([name for name, role in supervisor.roles.items() if role == "server"])
                code, killed, lines = message["exit_code"], message["oom_killed"], message["lines"]
                self._emit(supervisor.feed_exit(device, code, killed, now, lines))
            case "restart":
                supervisor.feed_restart(device)
            case "disk_full":
                self._emit(supervisor.feed_disk_full(device, message["reason"], now))
            case "lose":
                self._emit(supervisor.lose(device, message["reason"], now))
            case "fail" if message["device"] is None:  # its Engine has ended, its disk is full
                self._lose(supervisor, host, message["reason"], now)
            case "fail":
                self._emit(supervisor.fail(device, f"lab host {host}: {message['reason']}"))
            case "loaded":
                self._loaded.add(host)
            case "opened":
                self._note_opened(host, message["at"], message["bound"])

    def _note_opened(self, host: str, at: float, bound_s: float) -> None:
        self._opened.setdefault(host, (at, bound_s))
        if not self._is_skew_known and {self._lab.server, *self._hosts} <= self._opened.keys() | self._lost:
            self._is_skew_known = True
            times = [moment for moment, _ in self._opened.values()]
            bound = max(bound_s for _, bound_s in self._opened.values())
            self._record(GateMeasured(round(max(times) - min(times), 6), round(bound, 6)))

    def _emit(self, events: Iterable[Event]) -> None:
        self._watch().emit_all(events)

    def _publish(self) -> None:
        supervisor = self._supervisor
        if supervisor is None:
            self._hub.publish({})
            return
        outcome = supervisor.outcome
        self._hub.publish(
            {
                "open_at": self._open_at,
                "lost": supervisor.lost,
                "round": supervisor.round,
                "rounds_done": supervisor.rounds_done,
                "outcome": None if outcome is None else outcome.as_dict(),
                "devices": self._awaited_states(supervisor),
            }
        )

    def _awaited_states(self, supervisor: Supervisor) -> dict[str, tuple[str, str, bool]]:
        """The states of the devices for which events of the timeline wait, as all agents follow it."""
        timeline = self._settings.timeline if self._settings is not None else ()
        awaited = {entry.when.device for entry in timeline if entry.when is not None} & supervisor.states.keys()
        return {
            name: (supervisor.states[name], supervisor.live_state(name), supervisor.has_joined(name))
            for name in sorted(awaited)
        }
