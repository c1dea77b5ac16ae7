"""The rate of a direction as a token bucket, for what a netem at its place does not do.

A netem has no queue discipline, and a kernel lets none that duplicates packets be in a tree with another one. A tbf has
a queue of any discipline, but a bucket: a lone frame passes without the time that its own bytes take.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fedsim_runner.contract.link import Link
from fedsim_runner.contract.link_verdict import bucket_bytes

KIND = "tbf"
FIFO = "fifo"
#: The disciplines that have a qdisc of their own; a tbf's own queue is a fifo.
DISCIPLINES = ("codel", "fq_codel")
_QUEUE_HANDLE = 8


def has_bucket(link: Link) -> bool:
    """Whether a link's rate is that of a token bucket."""
    return link.rate_bps is not None and (link.discipline != FIFO or link.duplicate > 0)


@dataclass(frozen=True)
class Bucket:
    """The tbf and what waits in it.

    Attributes:
        discipline: of its queue.
        limit: most packets in the queue; with ``fifo``, bytes.
    """

    discipline: str
    limit: int

    @classmethod
    def of(cls, discipline: str, rate_bps: int, queue_bytes: int, packets: int) -> Bucket:
        """The bucket for a rate and a queue of so many bytes and packets at most."""
        return cls(discipline, bucket_bytes(rate_bps) + queue_bytes if discipline == FIFO else packets)

    def commands(self, interface: str, parent: str, handle: int, rate_bps: int, queue_bytes: int) -> list[list[str]]:
        """``tc``'s commands that put it below ``parent``."""
        replace = ["qdisc", "replace", "dev", interface, "parent"]
        burst = bucket_bytes(rate_bps)
        room = ["rate", f"{rate_bps}bit", "burst", f"{burst}b", "limit", f"{burst + queue_bytes}b"]
        found = [[*replace, parent, "handle", f"{handle:x}:", KIND, *room]]
        if self.discipline != FIFO:
            below = [f"{handle:x}:1", "handle", f"{_QUEUE_HANDLE:x}:", self.discipline, "limit", f"{self.limit}"]
            found.append([*replace, *below])
        return found

    @classmethod
    def parse(cls, entries: Sequence[Mapping[str, Any]]) -> tuple[Bucket, int] | None:
        """The bucket among an interface's qdiscs and its rate in bit/s; None: there is none."""
        by_kind = {entry.get("kind"): entry.get("options") or {} for entry in entries}
        options = by_kind.get(KIND)
        if options is None:
            return None
        discipline = next((kind for kind in DISCIPLINES if kind in by_kind), FIFO)
        limit = options.get("limit", 0) if discipline == FIFO else by_kind[discipline].get("limit", 0)
        return cls(discipline, int(limit)), int(options.get("rate", 0)) * 8
