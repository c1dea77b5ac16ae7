"""Watching one course: what participants write and use goes to the supervisor, whose events go to the agent."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from fedsim_runner.contract.events import Event
from fedsim_runner.contract.paths import EXIT_RECORD, StateFolder
from fedsim_runner.contract.process_state import is_stopped
from fedsim_runner.contract.records import read_exit_reason

from ..host.device_usage import Reading, Usage
from ..host.fleet import Container
from ..run_settings import RunSettings
from . import snapshot
from .limits import GRACE_S, Limits
from .reports import Reports
from .supervision import Supervisor
from .tail import READ_BYTES

_SAMPLES_PER_LOOK = 5
_LAST_BYTES = 1 << 26  # read from a file whose participant has ended


class Watch:
    """Watches one course from the loading of its engines on; before that, only the devices' use.

    Args:
        state: the run's state folder.
        settings: the settings from the device file.
        emit: called with every event as it happens; acts on lost clients and on the end of the course.
        supervise: makes the supervisor of a course.
    """

    def __init__(
        self,
        state: StateFolder,
        settings: RunSettings,
        emit: Callable[[Event], None],
        supervise: Callable[[RunSettings, Limits], Supervisor] | None = None,
    ) -> None:
        self._state = state
        self._settings = settings
        self._emit = emit
        self._supervise = supervise or supervise_alone
        self._reports: dict[str, Reports] = {}
        self._usage = Usage(settings.silence_timeout_s)
        self._samples = 0
        self.supervisor: Supervisor | None = None
        self.use_settings(settings)

    def use_settings(self, settings: RunSettings) -> None:
        """Take the settings of the device file, which was read again."""
        self._settings = settings
        for name in self._reports.keys() - settings.roles.keys():
            self._reports.pop(name).close()
        for name in settings.roles:
            if name not in self._reports:
                self._reports[name] = Reports(name, self._state.outputs(name))

    def begin(self) -> None:
        """Start supervision: participants load their engines."""
        settings = self._settings
        self.supervisor = self._supervise(
            settings,
            Limits(
                settings.timeout_s,
                # Three round trips until the first message has arrived on a new connection, and one for the answer.
                settings.silence_timeout_s + 4 * settings.answer_s,
                # The last message and the answer to it.
                settings.time_scale.to_wall(GRACE_S) + 2 * settings.answer_s,
                go_on=settings.go_on,
                min_clients=settings.min_clients,
                time_scale=settings.time_scale,
            ),
        )

    def open(self, open_at: float) -> None:
        """Start the course's clocks: the gate opens or opened at ``open_at`` (Unix seconds)."""
        assert self.supervisor is not None
        self.supervisor.open(time.monotonic() + open_at - time.time())

    def resume(self, open_at: float | None, lost: Mapping[str, str]) -> None:
        """Continue the course of an earlier agent: all files are read again, but no event is emitted twice.

        Args:
            open_at: when its gate opens or opened (Unix seconds); None: participants are still loading.
            lost: the clients that were given up, with the reasons.
        """
        self.begin()
        assert self.supervisor is not None
        if open_at is not None:
            self.open(open_at)
        now = time.monotonic()
        for reports in self._reports.values():
            for _ in reports.feed(self.supervisor, now, _LAST_BYTES):
                pass
        for name, reason in lost.items():
            self.supervisor.lose(name, reason, now)

    def on_started(self, name: str) -> None:
        """Handle the start of a container of the device."""
        self._reports[name].rescan()

    def on_ended(self, name: str, exit_code: int, oom_killed: bool, lines: list[str]) -> None:
        """Handle the end of the device's container; ``lines``: the end of its output."""
        assert self.supervisor is not None
        # The server first: if it has given this client up, that is why the client has ended.
        self.read(other for other, role in self._settings.roles.items() if role == "server")
        self._read(name, _LAST_BYTES)
        with contextlib.suppress(OSError):
            reason = read_exit_reason(_read_small(self._state.outputs(name) / EXIT_RECORD), exit_code)
            if reason is not None:
                lines.append(reason)
        self.emit_all(self.supervisor.feed_exit(name, exit_code, oom_killed, time.monotonic(), lines))

    def on_disk_full(self, name: str, reason: str) -> None:
        """Handle that a device uses more of the disk than it may."""
        if self.supervisor is not None:
            self.emit_all(self.supervisor.feed_disk_full(name, reason, time.monotonic()))

    def tick(self) -> None:
        """Read new lines, then check the time limits; called twice a second."""
        if self.supervisor is None:
            return
        self.read(self._reports)
        self.emit_all(self.supervisor.tick(time.monotonic()))

    def read(self, names: Iterable[str]) -> None:
        """Read what those of these participants that are here have written since the last time."""
        for name in names:
            if name in self._reports:
                self._read(name)

    def sample(
        self,
        now: float,
        readings: Mapping[str, Reading],
        containers: Mapping[str, Container],
        known_frozen: Collection[str] = (),
    ) -> None:
        """Find out which devices work and which are frozen; called once a second.

        Args:
            now: Unix seconds.
            readings: what they use.
            containers: theirs.
            known_frozen: devices that the timeline has frozen.
        """
        self._usage.add(now, readings)
        settings = self._settings
        supervisor = self.supervisor
        if supervisor is None:
            return
        steady = time.monotonic()
        self._samples += 1
        thorough = self._samples % _SAMPLES_PER_LOOK == 0
        for name, container in containers.items():
            # Hardly a process that has used the processor since the last sample is frozen, so most need no look; all
            # get one now and then, since another process of the container may have used it.
            looks = thorough or not self._usage.has_run(name)
            frozen = container.paused or name in known_frozen or (looks and is_stopped(container.pid))
            supervisor.feed_frozen(name, frozen, steady)
            cpus, waits_idle = settings.cpus.get(name), name not in settings.busy_waiters
            if self._usage.is_working(name, supervisor.live_state(name), cpus, now, waits_idle=waits_idle):
                supervisor.feed_heartbeat(name, steady)

    @property
    def is_on(self) -> bool:
        """Whether a course has begun, and has not ended."""
        return self.supervisor is not None and self.supervisor.outcome is None

    def lose(self, device: str, reason: str) -> None:
        """Give a device up; what that means for the course is the supervisor's decision."""
        if self.supervisor is not None:
            self.emit_all(self.supervisor.lose(device, reason, time.monotonic()))

    def fail(self, device: str | None, reason: str) -> None:
        """End the course, if one runs, for a reason from outside it."""
        if self.supervisor is not None:
            self.emit_all(self.supervisor.fail(device, reason))

    def emit_all(self, events: Iterable[Event]) -> None:
        for event in events:
            self._emit(event)

    def devices(self, containers: Mapping[str, Container]) -> dict[str, dict[str, Any]]:
        """The present state of every device, for the snapshot."""
        supervisor = self.supervisor
        found = {}
        for name in self._settings.roles:
            container = containers.get(name)
            if supervisor is not None:
                state, number = supervisor.live_state(name), supervisor.device_round(name)
            else:
                state, number = "absent" if container is None else "waiting" if container.pid else "exited", 0
            limits = self._settings.cpus.get(name), self._settings.memory_bytes.get(name)
            found[name] = snapshot.device_part(name, state, number, self._usage, *limits)
        return found

    def close(self) -> None:
        for reports in self._reports.values():
            reports.close()

    def _read(self, name: str, most: int = READ_BYTES) -> None:
        assert self.supervisor is not None
        self.emit_all(self._reports[name].feed(self.supervisor, time.monotonic(), most))


def supervise_alone(settings: RunSettings, limits: Limits) -> Supervisor:
    """The supervisor of a course whose participants are all on this lab host."""
    return Supervisor(settings.roles, settings.total_rounds, limits)


def _read_small(path: Path) -> str:
    """The beginning of a participant's file, without following a link that it may have put there."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        plain = stat.S_ISREG(os.fstat(descriptor).st_mode)
        return file.read(1 << 16).decode(errors="replace") if plain else ""
