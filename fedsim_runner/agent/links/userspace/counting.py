"""What has passed the directions that the packet process holds, for its answers. Pure."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .direction import Direction


@dataclass(frozen=True)
class Held:
    """Directions: uplinks by address, downlinks by device, edges by the sites that they lead from and to."""

    ups: Mapping[bytes, Direction]
    downs: Mapping[str, Direction]
    edges: Mapping[tuple[str, str], Direction]

    def __iter__(self) -> Iterator[Direction]:
        yield from self.ups.values()
        yield from self.downs.values()
        yield from self.edges.values()


class Counting:
    """Reads the counters of directions; knows which of them somebody has already seen."""

    def __init__(self) -> None:
        self._seen: dict[bytes | str | tuple[str, str], tuple[int, ...]] = {}

    def start_again(self, held: Held, now: float) -> None:
        """Count from now on (seconds)."""
        for direction in held:
            direction.tally.start_again(now)
        self._seen.clear()

    def look_at_rates(self, held: Held, now: float) -> None:
        """Compare what has passed with the rates."""
        for direction in held:
            direction.tally.rate.look(now, direction.tally.bytes, direction.link.rate_bps)

    def totals(self, held: Held) -> dict[str, Any]:
        """All counters, as JSON data."""
        return {
            "ups": {socket.inet_ntoa(source): up.tally.as_dict() for source, up in held.ups.items()},
            "downs": {name: down.tally.as_dict() for name, down in held.downs.items()},
            "edges": [[*sites, edge.tally.as_dict()] for sites, edge in held.edges.items()],
        }

    def changes(self, held: Held, now: float) -> dict[str, Any]:
        """The counters and queues that have changed since the last time, as JSON data.

        Most have not, as a rule: to say nothing of them keeps the answer, for which all packets wait, short.
        """
        seen = self._seen
        ups = [key for key, up in held.ups.items() if self._has_changed(key, up, now)]
        downs = [key for key, down in held.downs.items() if self._has_changed(key, down, now)]
        edges = [key for key, edge in held.edges.items() if self._has_changed(key, edge, now)]
        return {
            "ups": {socket.inet_ntoa(key): seen[key] for key in ups},
            "downs": {key: seen[key] for key in downs},
            "edges": [[*key, seen[key]] for key in edges],
        }

    def _has_changed(self, key: bytes | str | tuple[str, str], direction: Direction, now: float) -> bool:
        before = self._seen.get(key)
        if before is None:
            if not direction.tally.packets:
                return False
        elif before[1] == direction.tally.packets and not before[4]:
            return False  # nothing has come since, and nothing waited
        self._seen[key] = direction.passed(now)
        return True
