"""What has passed the directions that the packet process holds, for its answers. Pure."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Mapping
from typing import Any

from .direction import Direction

Ups = Mapping[bytes, Direction]  # by address
Downs = Mapping[str, Direction]  # by device


class Counting:
    """Reads the counters of directions; knows which of them somebody has already seen."""

    def __init__(self) -> None:
        self._seen: dict[bytes | str, tuple[int, ...]] = {}

    def start_again(self, ups: Ups, downs: Downs, now: float) -> None:
        """Count from now on (seconds)."""
        for direction in itertools.chain(ups.values(), downs.values()):
            direction.tally.start_again(now)
        self._seen.clear()

    def look_at_rates(self, ups: Ups, downs: Downs, now: float) -> None:
        """Compare what has passed with the rates."""
        for direction in itertools.chain(ups.values(), downs.values()):
            direction.tally.rate.look(now, direction.tally.bytes, direction.link.rate_bps)

    def totals(self, ups: Ups, downs: Downs) -> dict[str, Any]:
        """All counters, as JSON data."""
        return {
            "ups": {socket.inet_ntoa(source): up.tally.as_dict() for source, up in ups.items()},
            "downs": {name: down.tally.as_dict() for name, down in downs.items()},
        }

    def changes(self, ups: Ups, downs: Downs, now: float) -> dict[str, Any]:
        """The counters and queues that have changed since the last time, as JSON data.

        Most have not, as a rule: to say nothing of them keeps the answer, for which all packets wait, short.
        """
        found: dict[str, Any] = {"ups": {}, "downs": {}}
        for source, up in ups.items():
            if self._has_changed(source, up, now):
                found["ups"][socket.inet_ntoa(source)] = self._seen[source]
        for name, down in downs.items():
            if self._has_changed(name, down, now):
                found["downs"][name] = self._seen[name]
        return found

    def _has_changed(self, key: bytes | str, direction: Direction, now: float) -> bool:
        before = self._seen.get(key)
        if before is None:
            if not direction.tally.packets:
                return False
        elif before[1] == direction.tally.packets and not before[4]:
            return False  # nothing has come since, and nothing waited
        self._seen[key] = direction.passed(now)
        return True
