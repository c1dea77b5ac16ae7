"""Which devices are offline, as their participants and the supervisor have to know it, and when their links are cut."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable

from .gate_files import Gate
from .supervision import Supervisor

# What still belongs to joining after a client has its id takes a message each way; answers to those come in this time
# besides what links take.
JOINING_S = 1.0


class Absences:
    """The devices of one run that are offline, of all lab hosts.

    Participants are informed before a link is cut, and once it is whole again: what they send in between would only be
    sent again. A client that is offline before it has joined is so for the server at once, which does not ask it; its
    link is cut once it has joined, so that it has its id and a course begins with all its clients.

    Args:
        gate: where the participants read who is offline.
        answer_s: seconds after which the slowest link answers at the latest.
    """

    def __init__(self, gate: Gate, answer_s: float) -> None:
        self._gate = gate
        self._answer_s = answer_s
        self._joined_at: dict[str, float] = {}  # on the monotonic clock

    def set(self, devices: Collection[str], supervisor: Supervisor | None) -> None:
        """Say that exactly these devices are offline.

        Raises:
            CannotWriteError: the participants do not learn of it.
        """
        self._gate.announce_offline(devices)
        if supervisor is not None:
            supervisor.feed_offline(devices, time.monotonic())

    def resume(self, supervisor: Supervisor) -> None:
        """Let the supervisor know what an earlier agent has announced."""
        supervisor.feed_offline(self._gate.offline(), time.monotonic())

    def may_cut(self, devices: Iterable[str], supervisor: Supervisor) -> list[str]:
        """Of these devices, those whose links may be cut by now: those that have joined, and the server of a course
        that has begun."""
        now = time.monotonic()
        for name in devices:
            if name not in self._joined_at and supervisor.has_joined(name):
                self._joined_at[name] = now
        wait_s = JOINING_S + self._answer_s
        return [name for name in devices if now - self._joined_at.get(name, now) >= wait_s]
