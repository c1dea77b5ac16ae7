"""State that the patches and policies share in one process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fedsim_runner.contract.time_scale import REAL_TIME, TimeScale

from ..activity import Activity
from ..reporting import Reporter
from .offline import CutConnections


@dataclass
class PatchContext:
    """The state of one participant.

    ``reporter``: receives the events of the course.
    ``unreachable``: called, from any thread, for a peer that does not accept a message: its id, the message type, why.
    ``accept``: called, from any thread, with an undecoded message and the address it comes from: whether to take it, or
    to acknowledge it only; a RefusedMessageError is answered to the sender. None: the participant is not ready.
    ``cut``: which connections are cut because one of their ends is offline; None: that never happens.
    ``forget``: called with the address of a peer that gets no more messages: drops what waits for it.
    ``renew``: called with the address of a peer that was started anew: drops what waits for it, and its connection.
    ``answer_s``: seconds after which the slowest peer answers at the latest, because of its link.
    ``parted_s``: for so long a peer may be out of reach, and is back then.
    ``scale``: what time limits of the patches are by the clock.
    ``flush``: called at the end of the course: sends all messages, and calls its argument while it waits.
    """

    activity: Activity
    reporter: Reporter
    unreachable: Callable[[int, str, str], None]
    accept: Callable[[Any, str], bool] | None = None
    answer_s: float = 0.0
    parted_s: float = 0.0
    scale: TimeScale = REAL_TIME
    cut: CutConnections | None = None
    forget: list[Callable[[str], None]] = field(default_factory=list)
    renew: list[Callable[[str], None]] = field(default_factory=list)
    flush: list[Callable[[Callable[[], None]], None]] = field(default_factory=list)


def peer_of(communication: Any, address: str) -> int:
    """Id of the neighbour at ``address``; -1 if it is no longer known."""
    for peer, known in list(communication.neighbors.items()):
        if known == address:
            return int(peer)
    return -1
