"""The form of qdiscs that can become those of each link that a direction is during a course, in place. Pure.

To change one tree of qdiscs into another drops what is under way. So what holds a direction's rate, and whether losses
have a netem of their own, is the same throughout its course.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from fedsim_runner.contract.link import Link

from .bucket import FIFO, has_bucket

# With a token bucket, above each discipline; without.
_HANDLES = {"fifo": 0x25, "codel": 0x26, "fq_codel": 0x27}
_NO_BUCKET = 0x13
_APART = 8
_ALL = {_NO_BUCKET, *(handle + apart for handle in _HANDLES.values() for apart in (0, _APART))}


@dataclass(frozen=True)
class CourseForm:
    """What all qdiscs of a direction have in common.

    Attributes:
        discipline: of the queue in the token bucket that holds the rate; None: a netem holds it.
        loses_apart: losses in bursts have a netem of their own; not beside duplicates, as newer kernels take no other
            netem beside one that duplicates.
    """

    discipline: str | None = None
    loses_apart: bool = True

    @property
    def handle(self) -> int:
        """That of the root qdisc, by its major number."""
        if self.discipline is None:
            return _NO_BUCKET
        return _HANDLES[self.discipline] + (_APART if self.loses_apart else 0)

    @classmethod
    def of(cls, links: Collection[Link]) -> CourseForm:
        """That of a direction which is each of these links in turn, if it :func:`lacks <lacking>` nothing."""
        holders = _holders(links)
        return cls(next(iter(holders), None), not any(link.duplicate for link in links))


def is_handle(major: int) -> bool:
    """Whether a root qdisc with this major number is of such a form."""
    return major in _ALL


def lacking(links: Collection[Link]) -> Iterator[str]:
    """What no form does for a direction which is each of these links in turn: as a refusal goes on."""
    if len(_holders(links)) > 1:
        yield (
            "changes no link from one queue discipline to another, and lets none begin or cease to duplicate packets, "
            "during the course"
        )
    if any(link.duplicate for link in links) and any(link.bursts is not None for link in links):
        yield "loses no packets in bursts on links that duplicate packets where they change during the course"


def _holders(links: Collection[Link]) -> set[str | None]:
    """The disciplines of the token buckets that these links need; None: one needs a netem in their place."""
    return {
        link.discipline if has_bucket(link) else FIFO if link.duplicate else None
        for link in links
        if link.rate_bps or link.duplicate
    }
