"""No participant passes the gate before its link is in force; this state outlives the agent."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass

from ..contract.agent_calls import LinksAnswer
from ..contract.atomic import CannotWriteError, replace
from ..contract.paths import StateFolder
from .containers import Containers
from .course.gate_files import Gate
from .links.run_links import RunLinks
from .run_settings import RunSettings


@dataclass(frozen=True)
class _Request:
    """The gate is to open. ``open_at``: not before that time (Unix seconds)."""

    open_at: float | None


class Gatekeeper:
    """Links and gate of one run. Not thread-safe: its owner holds a lock.

    Args:
        state: the run's state folder.
        links: shapes the devices' links.
        containers: the device containers.
        fail: called with the reason why the course cannot go on.
        lose: called with a device, and the reason why it cannot take part any longer.
        report_write_error: called if the state that a later agent would need could not be written.

    Attributes:
        gate: the files that launchers read.
        open_at: when the gate opened for the first time (Unix seconds).
    """

    def __init__(
        self,
        state: StateFolder,
        links: RunLinks,
        containers: Containers,
        fail: Callable[[str], None],
        lose: Callable[[str, str], None],
        report_write_error: Callable[[CannotWriteError], None],
    ) -> None:
        self.gate = Gate(state)
        self._memory = state.memory
        self._links = links
        self._containers = containers
        self._fail = fail
        self._lose = lose
        self._report_write_error = report_write_error
        self._over = False
        self._requested: _Request | None = None
        self.open_at: float | None = None

    def load_memory(self) -> list[str]:
        """Take over what an earlier agent knew of the gate; return the devices that it shaped."""
        try:
            found = json.loads(self._memory.read_text())
        except (OSError, ValueError):
            return []
        if found.get("open_at") is not None:
            self.open_at = float(found["open_at"])
        if found.get("requested") is not None:
            self._requested = _Request(**found["requested"])
        return list(found.get("shaped") or ())

    @property
    def is_requested(self) -> bool:
        """Whether the gate is to open, once all participants have loaded, or has opened."""
        return self._requested is not None or self.open_at is not None

    def apply(self, settings: RunSettings, names: Collection[str] | None, check: bool) -> LinksAnswer:
        """Shape the links as the settings say; with ``names``, only those of these devices.

        Raises:
            UnshapableError: no back end here can shape them, and ``allow_unshaped`` is not set.
        """
        devices = [name for name in settings.roles if names is None or name in names]
        pids = self._containers.running_pids()
        running = {name: pids[name] for name in devices if name in pids}
        answer = self._links.apply(settings, devices, running, check)
        if not check:
            self._remember()
        return answer

    def shape_new_interface(self, name: str) -> None:
        """Shape the new interface of a device whose link was in force, and reopen the gate if it was open."""
        pid = self._containers.running_pids().get(name)
        if pid is None or name not in self._links.shaped:
            return
        try:
            failed = self._links.reapply(name, pid)
        except ProcessLookupError:
            return  # its end is about to be reported
        if failed is not None:
            self._lose(name, f"its link could not be shaped again: {failed}")
        else:
            self.reopen()

    def restore(self) -> dict[str, str]:
        """Put links that somebody else has changed back in force; return the reasons where that failed, by device."""
        return self._links.restore(self._containers.running_pids())

    def request(self, open_at: float | None) -> None:
        """Remember that the gate is to open, as soon as all participants have loaded but not before ``open_at``.

        Raises:
            RuntimeError: a running device's link has not been shaped, or no packet passes.
        """
        self._check_links()
        self.gate.forget_lost()
        self._requested = _Request(open_at)
        self._remember()

    def open(self, due: float) -> float:
        """Let the participants go at ``due``, or later as requested, if their links are in force; return the time.

        Raises:
            RuntimeError: a running device's link has not been shaped, or no packet passes.
            CannotWriteError: the gate cannot be opened.
        """
        self._check_links()
        not_before = None if self._requested is None else self._requested.open_at
        at = max(time.time(), due, not_before or 0.0)
        self.gate.open(at)
        self.open_at = at
        self._remember()
        return at

    def _check_links(self) -> None:
        if self._links.failure is not None:
            raise RuntimeError(self._links.failure)
        running = self._running()
        if not self._links.covers(running):
            raise RuntimeError(f"links are not in force on: {', '.join(sorted(running - self._links.shaped))}")

    def shut(self) -> None:
        """Shut the gate because a container has ended: the next one to start must not pass unshaped."""
        self.gate.shut()

    def reopen(self) -> None:
        """Let those through that have been waiting since the gate was shut, if all links are in force.

        While a container's state is unknown, it may run with a new interface, and the gate stays shut.
        """
        if self.open_at is None or self._over or self._containers.unknown:
            return
        if not self._links.covers(self._running()):
            return
        try:
            self.gate.open(self.open_at)
        except CannotWriteError as error:
            self._fail(str(error))

    def _running(self) -> set[str]:
        """The running devices that need a link; one that was given up, and is about to be killed, gets none."""
        return self._containers.running_pids().keys() - self.lost().keys()

    def keep_shut(self) -> None:
        """Never open the gate again: the course is over."""
        self._over = True

    def lost(self) -> dict[str, str]:
        """The clients that were given up, with the reasons."""
        return self.gate.lost()

    def announce_lost(self, lost: dict[str, str]) -> None:
        """Inform the server of all clients given up so far.

        Raises:
            CannotWriteError: the server does not learn of the last one.
        """
        self.gate.announce_lost(lost)

    def _remember(self) -> None:
        try:
            requested = None if self._requested is None else asdict(self._requested)
            memory = {"requested": requested, "open_at": self.open_at, "shaped": sorted(self._links.shaped)}
            replace(self._memory, json.dumps(memory))
        except CannotWriteError as error:
            self._report_write_error(error)
