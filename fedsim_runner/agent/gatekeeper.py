"""No participant passes the gate before its link is in force; what of that was reached survives the agent."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection

from ..contract.agent_calls import LinksAnswer
from ..contract.atomic import CannotWriteError, replace
from ..contract.paths import StateFolder
from .containers import Containers
from .course.gate_files import Gate
from .links.run_links import RunLinks
from .run_settings import RunSettings


class Gatekeeper:
    """Links and gate of one run. Not safe from several threads: its owner holds a lock.

    Args:
        state: the run's state folder.
        links: what shapes.
        containers: what runs.
        fail: called with a device (None: the lab host) and why the course cannot go on.
        cannot_write: called where what an agent after this one would need was not written.

    Attributes:
        open_at: when the gate was opened for the first time (Unix seconds).
    """

    def __init__(
        self,
        state: StateFolder,
        links: RunLinks,
        containers: Containers,
        fail: Callable[[str | None, str], None],
        cannot_write: Callable[[CannotWriteError], None],
    ) -> None:
        self._gate = Gate(state)
        self._memory = state.memory
        self._links = links
        self._containers = containers
        self._fail = fail
        self._cannot_write = cannot_write
        self._over = False
        self.open_at: float | None = None

    def load_memory(self) -> tuple[list[str], float | None]:
        """Which devices an earlier agent had shaped, and when it had opened the gate."""
        try:
            found = json.loads(self._memory.read_text())
        except (OSError, ValueError):
            return [], None
        open_at = found.get("open_at")
        return list(found.get("shaped") or ()), None if open_at is None else float(open_at)

    def apply(self, settings: RunSettings, names: Collection[str] | None, check: bool) -> LinksAnswer:
        """Bring links to what is wanted; ``names``: only those devices'.

        Raises:
            UnshapableError: no back end here holds them, and ``allow_unshaped`` is not set.
        """
        wanted = [name for name in settings.roles if names is None or name in names]
        pids = self._containers.running()
        running = {name: pids[name] for name in wanted if name in pids}
        answer = self._links.apply(settings, wanted, running, check)
        if not check:
            self._remember()
        return answer

    def shape_new_interface(self, name: str) -> None:
        """A device that had a link has a new interface: shape it; then the gate, if it was open, opens again."""
        pid = self._containers.running().get(name)
        if pid is None or name not in self._links.shaped:
            return
        failed = self._links.reapply(name, pid)
        if failed is not None:
            self._fail(name, f"its link could not be shaped again: {failed}")
        else:
            self.reopen()

    def open(self, open_at: float | None) -> float:
        """Let the participants go, now or at a time, once their links are in force; returns when.

        Raises:
            RuntimeError: a running device's link has not been shaped.
            CannotWriteError: the gate cannot be opened.
        """
        running = set(self._containers.running())
        if not self._links.covers(running):
            raise RuntimeError(f"links are not in force on: {', '.join(sorted(running - self._links.shaped))}")
        at = time.time() if open_at is None else open_at
        self._gate.forget_lost()
        self._gate.open(at)
        self.open_at = at
        self._remember()
        return at

    def shut(self) -> None:
        """A container has ended: what starts next must not pass unshaped."""
        self._gate.shut()

    def reopen(self) -> None:
        """Let those through that stand before the gate since it was shut, if all links are in force."""
        if self.open_at is None or self._over or not self._links.covers(self._containers.running()):
            return
        try:
            self._gate.open(self.open_at)
        except CannotWriteError as error:
            self._fail(None, str(error))

    def keep_shut(self) -> None:
        """The course is over: the gate does not open again."""
        self._over = True

    def lost(self) -> dict[str, str]:
        """Clients that were given up, with the reasons."""
        return self._gate.lost()

    def announce_lost(self, lost: dict[str, str]) -> None:
        """Let the server know all clients that were given up so far.

        Raises:
            CannotWriteError: it does not learn of the last one.
        """
        self._gate.announce_lost(lost)

    def _remember(self) -> None:
        try:
            replace(self._memory, json.dumps({"open_at": self.open_at, "shaped": sorted(self._links.shaped)}))
        except CannotWriteError as error:
            self._cannot_write(error)
