"""Whether a course can go on as far as the lab host is concerned: its links, its journal, its state folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from ..contract.paths import StateFolder
from .course.watch import Watch
from .gatekeeper import Gatekeeper
from .host.journal import Journal
from .host.state_check import find_deleted
from .links.run_links import RunLinks

LOOK_S = 6.0  # between two looks at all links
# An Engine that ends takes the network's container with it, and a moment later this agent, which then names the Engine.
ENGINE_END_S = 3.0
SETTLE_S = 5.0  # after the course, for participants to write their last files
END_S = 1.0  # ... and for their end to be asked for, if nothing that they write can be kept


class Health:
    """Looks for what somebody else has done to the run on this lab host. Not thread-safe: its owner holds a lock.

    Args:
        state: the run's state folder.
        journal: of the run.
        links: of the run's devices.
        gatekeeper: restores links.
        watch: the course.
        devices: returns those that have a container, and with it an output folder.
        ended_for: whether the course ended at least so many seconds ago.
        fail: called with the reason why the course cannot go on.

    Attributes:
        failure: why the agent cannot go on.
    """

    def __init__(
        self,
        state: StateFolder,
        journal: Journal,
        links: RunLinks,
        gatekeeper: Gatekeeper,
        watch: Watch,
        devices: Callable[[], Collection[str]],
        ended_for: Callable[[float], bool],
        fail: Callable[[str], None],
    ) -> None:
        self._state = state
        self._journal = journal
        self._links = links
        self._gatekeeper = gatekeeper
        self._watch = watch
        self._devices = devices
        self._ended_for = ended_for
        self._fail = fail
        self._next_look = 0.0
        self._network_ended_at: float | None = None
        self.failure: str | None = None

    def check(self) -> None:
        """See whether packets pass and the journal can be written, and now and then whether links are in force."""
        now = time.monotonic()
        failure = self._links.failure
        if not self._links.has_lost_its_network:
            self._network_ended_at = None
        elif self._network_ended_at is None:
            self._network_ended_at = now
        if failure is not None:
            if self._network_ended_at is None or now - self._network_ended_at >= ENGINE_END_S:
                self._fail(failure)
        elif now >= self._next_look and not self._ended_for(0.0):
            self._next_look = now + LOOK_S
            for name, reason in self._gatekeeper.restore().items():
                self._fail(f"the link of {name} was changed by somebody else, and could not be restored: {reason}")
        if self._journal.failure is not None:
            self._fail(self._journal.failure)
            if self._journal.stuck:
                self._give_up(self._journal.failure, SETTLE_S)

    def check_files(self) -> None:
        """See whether the state folder and the journal are as they were left."""
        supervisor = self._watch.supervisor
        # Before and after a course, devices' folders may be made anew.
        devices = self._devices() if supervisor is not None and supervisor.outcome is None else ()
        deleted = find_deleted(self._state, devices)
        damage = self._journal.damage()
        if deleted is not None or damage is not None:
            reason = deleted or f"the run's journal {damage}"
            self._fail(reason)
            if damage is not None:
                self._give_up(reason, END_S)

    def _give_up(self, reason: str, after_s: float) -> None:
        """End the agent with the reason as its last output, since the journal can no longer report it."""
        if self._watch.supervisor is None or self._ended_for(after_s):
            self.failure = reason
