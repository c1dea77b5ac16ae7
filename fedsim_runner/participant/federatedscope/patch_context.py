"""What the patches and policies share in one process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..activity import Activity


@dataclass
class PatchContext:
    """Of one participant.

    ``unreachable``: told of a peer that does not take a message: its id, the type of the message, why; from any thread.
    ``forget``: called with the address of a peer that gets no more messages: drop what waits for it.
    ``flush``: called at the end of the course with a function to call while waiting: let all messages out.
    """

    activity: Activity
    unreachable: Callable[[int, str, str], None]
    forget: list[Callable[[str], None]] = field(default_factory=list)
    flush: list[Callable[[Callable[[], None]], None]] = field(default_factory=list)


def peer_of(communication: Any, address: str) -> int:
    """Id of the neighbour at ``address``; -1 where it is not known any more."""
    for peer, known in list(communication.neighbors.items()):
        if known == address:
            return int(peer)
    return -1
