"""One direction of a link: a netem that delays and drops, a policer as the queue's length, a netem for the rate.

With a queue that is no fifo, and for links that duplicate packets, a tbf has the rate (bucket.py).

Whatever is changed of a netem, it begins in the good state of losses in bursts again. So where the delay moves, or any
value may change during the course, these losses are those of a netem of their own below the first: both come before
the rate, in either order.

The limit of a netem is in packets, delayed ones included, so none of its own is that of a queue in bytes; a tbf counts
bytes, but lets a lone packet pass without the time that its own bytes take. So a policer stands before the netem that
holds the rate, with the same rate and the queue as its burst: its tokens are the room that is left, to the byte. It is
in the filter of a prio, which does nothing else; a netem takes no filters.
"""

from __future__ import annotations

import functools
import math
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from fedsim_runner.contract.gilbert_elliott import GilbertElliott
from fedsim_runner.contract.link import Link
from fedsim_runner.contract.queue_size import FRAME_BYTES, SUPER_PACKET_BYTES, UNLIMITED_BPS, buffer_bytes

from ...kernel import kernel_qdiscs, netlink, qdisc_changes
from ...kernel.kernel_qdiscs import ROOT
from ...kernel.root_qdisc import Qdisc
from . import kernel_form
from .bucket import Bucket, has_bucket
from .course_form import CourseForm, is_handle
from .kernel_form import NetemOptions

ORDERING_RATE_BPS = 100_000_000_000  # netem keeps packets in order only if it has a rate
SMALL_BYTES = 64
SMALL_PER_S = 20_000  # packets of this size that never meet a limit of packets, at half the rate at most
BANDS = ("prio", "bands", "2", "priomap", *16 * ("0",))  # fewer there cannot be
FILTER = ("prio", "1", "protocol", "all", "handle", "1", "basic")
VERDICTS = ("conform-exceed", "drop/ok")
# A root of another handle is a new one, with nothing below it; one of the same handle is changed in place. The delay of
# one with a handle of the second pair is changed all the time. Roots above a token bucket have handles of their own,
# one for each discipline, and so have those that can become other links' (course_form.py).
_LIMITED, _UNLIMITED = 1, 2
_ABOVE_BUCKETS = {"fifo": 5, "codel": 6, "fq_codel": 7}
_MOVING = kernel_qdiscs.MOVING_HANDLES.start
_APART = 8  # more than it would be: above a netem for losses
_RATE, _POLICED = 3, 4
#: Links and changes of which the qdiscs and requests are kept: a trace comes back to the same values.
_KEPT = 4096
#: The netem for losses in bursts.
LOSES = 9
#: The qdiscs below the policer's, and that itself where losses have a netem of their own, are below these.
OF_QUEUE = frozenset({_RATE, _POLICED, LOSES})
#: What the qdisc is below in which packets wait for the rate.
QUEUE_PARENT = _POLICED << 16 | 1


@dataclass(frozen=True)
class Netem(Qdisc):
    """The qdiscs. Jitter is not the kernel's: the delay moves by so much at most.

    Attributes:
        limit: packets that are delayed.
        waiting: packets that wait for the rate.
        queue: their bytes.
        changeable: it is of a form that can be changed in place to any other link of the same form.
        apart: losses in bursts are those of a netem of their own.
        bursts: how packets are lost; None: independently.
        duplicate, corrupt: probabilities.
        bucket: holds the rate; None: a netem does.
    """

    rate_bps: int | None = None
    delay_us: int = 0
    jitter_us: int = 0
    loss: float = 0.0
    limit: int = 0
    waiting: int = 0
    queue: int = 0
    changeable: bool = False
    bursts: GilbertElliott | None = None
    duplicate: float = 0.0
    corrupt: float = 0.0
    bucket: Bucket | None = None
    apart: bool = False

    kind: ClassVar[str] = "netem"

    @classmethod
    @functools.lru_cache(maxsize=_KEPT)
    def for_link(cls, link: Link, form: CourseForm | None = None) -> Netem | None:
        """The qdiscs for one direction of a link; with a form that it has throughout a course, whatever it is."""
        changeable = form is not None
        if link.rate_bps is None and not link.delays_or_drops and not changeable:
            return None
        rate_bps = link.rate_bps or UNLIMITED_BPS
        small_per_s = min(SMALL_PER_S, rate_bps / 8 / SMALL_BYTES)
        in_flight = link.longest_delay_us / 1e6 * max(rate_bps / 8 / FRAME_BYTES, small_per_s)
        limit = SMALL_PER_S + math.ceil(in_flight)
        plain = cls(
            link.rate_bps,
            link.delay_us,
            furthest_us(link),
            link.loss,
            limit,
            changeable=changeable,
            bursts=link.bursts,
            duplicate=link.duplicate,
            corrupt=link.corrupt,
            apart=_moves_bursts(link) if form is None else form.loses_apart,
        )
        if link.rate_bps is None and not changeable:
            return plain
        queue = buffer_bytes(rate_bps, link.queue if link.rate_bps else None)
        waiting = max(queue // FRAME_BYTES, min(queue // SMALL_BYTES, SMALL_PER_S))
        discipline = (link.discipline if has_bucket(link) else None) if form is None else form.discipline
        if discipline is None:
            return replace(plain, waiting=waiting, queue=queue)
        target_us = None if link.queue is None else link.queue.target_us
        return replace(plain, queue=queue, bucket=Bucket.of(discipline, rate_bps, queue, waiting, target_us))

    def forms(self, before: object) -> Sequence[netlink.Form] | None:
        if not (self.changeable and isinstance(before, Netem) and before.changeable):
            return None
        return _forms(self, before) if self._course_form == before._course_form else None

    @property
    def _course_form(self) -> CourseForm:
        return CourseForm(None if self.bucket is None else self.bucket.discipline, self.apart)

    @property
    def held_bps(self) -> int:
        """The rate of what holds it; a token bucket has one also for a link without."""
        return self.rate_bps or (UNLIMITED_BPS if self.bucket is not None else 0)

    def changes_rate(self, before: Netem) -> bool:
        """Whether it has another rate, or another queue of what waits for that."""
        return (self.rate_bps, self.queue, self.bucket) != (before.rate_bps, before.queue, before.bucket)

    def read_back(self, index: int, before: object, shown: qdisc_changes.Shown, channel: socket.socket) -> Netem:
        def options(parent: int) -> NetemOptions:
            return NetemOptions.decode(qdisc_changes.options_of(shown, index, parent, self.kind))

        root = options(ROOT)
        bursts = options(self._course_form.handle << 16 | 1).bursts if self.apart else None
        if self.bucket is None:
            held, bucket = options(QUEUE_PARENT), None
            rate_bps, waiting = held.rate_bps, held.limit
        else:
            waiting = 0
            bucket, rate_bps = Bucket.read_back(self.bucket.discipline, index, QUEUE_PARENT, _RATE, shown)
        queue = self.queue
        if isinstance(before, Netem) and self.changes_rate(before):  # to look at policers takes a call for each
            room_s = kernel_qdiscs.policed_by(index, _POLICED << 16, channel) or 0.0
            queue = round(room_s * (rate_bps or UNLIMITED_BPS) / 8)
        return type(self)(
            _rate_of(bucket, rate_bps),
            root.delay_us,
            0,
            root.loss if bursts is None else bursts.mean_loss,
            root.limit,
            waiting,
            queue,
            True,
            bursts,
            root.duplicate,
            root.corrupt,
            bucket,
            self.apart,
        )

    def arguments(self) -> list[str]:
        arguments = ["limit", str(self.limit)]
        if self.delay_us or self.jitter_us:
            arguments += ["delay", f"{self.delay_us}us"]
        if self.bursts is not None:
            arguments += [] if self.apart else self._bursts()
        elif self.loss:
            arguments += ["loss", "random", f"{self.loss * 100:.8g}%"]
        if self.duplicate:
            arguments += ["duplicate", f"{self.duplicate * 100:.8g}%"]
        # A netem that is changed in place keeps what is not named of this alone.
        arguments += ["corrupt", f"{self.corrupt * 100:.8g}%"]
        if self.jitter_us or self.changeable:
            arguments += ["rate", f"{ORDERING_RATE_BPS}bit"]
        return arguments

    def _bursts(self) -> list[str]:
        if self.bursts is None:
            return []
        return ["loss", "gemodel", *(f"{value * 100:.8g}%" for value in _parameters(self.bursts))]

    def commands(self, interface: str, index: int) -> list[list[str]]:
        replace = ["qdisc", "replace", "dev", interface]
        handle = (_UNLIMITED if self.rate_bps is None else _LIMITED) + (_MOVING if self.jitter_us else 0)
        if self.bucket is not None:
            handle = _ABOVE_BUCKETS[self.bucket.discipline] + (_MOVING - 1 if self.jitter_us else 0)
        handle += _APART if self.apart else 0
        handle = self._course_form.handle if self.changeable else handle
        top = [[*replace, "root", "handle", f"{handle:x}:", self.kind, *self.arguments()]]
        if self.apart:
            loses = ["handle", f"{LOSES:x}:", self.kind, "limit", str(SMALL_PER_S), *self._bursts()]
            top.append([*replace, "parent", f"{handle:x}:1", *loses])
        if self.rate_bps is None and not self.changeable:
            return top
        policed_bps = self.rate_bps or UNLIMITED_BPS
        room = ["rate", f"{policed_bps}bit", "burst", f"{self.queue}b", "mtu", str(SUPER_PACKET_BYTES)]
        # By the interface's number it is found when it is changed in place. A filter takes one that there is as it is.
        policer = ["action", "police", "index", str(index), *room, *VERDICTS]
        below = f"{_POLICED:x}:1"
        rate = [self.kind, "limit", str(self.waiting)]
        if self.rate_bps is not None:
            rate += ["rate", f"{self.rate_bps}bit"]
        holds = [[*replace, "parent", below, "handle", f"{_RATE:x}:", *rate]]
        if self.bucket is not None:
            holds = self.bucket.commands(interface, below, _RATE, self.held_bps, self.queue)
        return [
            *top,
            [*replace, "parent", f"{LOSES if self.apart else handle:x}:1", "handle", f"{_POLICED:x}:", *BANDS],
            ["filter", "replace", "dev", interface, "parent", f"{_POLICED:x}:", *FILTER, *policer],
            ["actions", "replace", *policer],
            *holds,
        ]

    @classmethod
    def parse(cls, options: Mapping[str, Any], below: Sequence[Mapping[str, Any]]) -> Netem:
        delay = options.get("delay") or {}
        loses = next((entry.get("options") or {} for entry in below if entry.get("handle") == f"{LOSES:x}:"), None)
        netems = [entry for entry in below if entry.get("kind") == cls.kind and entry.get("handle") != f"{LOSES:x}:"]
        rate = next((entry.get("options") or {} for entry in netems), {})
        bucket, rate_bps = Bucket.parse(below) or (None, int((rate.get("rate") or {}).get("rate", 0)) * 8)
        majors = (int(str(entry.get("parent", "0:")).partition(":")[0] or "0", 16) for entry in below)
        room_s = next((entry.get("policed_s") or 0.0 for entry in below if entry.get("kind") == BANDS[0]), 0.0)
        model = (options if loses is None else loses).get("loss-gemodel")
        bursts = None if model is None else GilbertElliott(*(float(model[key]) for key in ("p", "r", "1-h", "1-k")))
        return cls(
            _rate_of(bucket, rate_bps),
            round(float(delay.get("delay", 0)) * 1e6),
            round(float(delay.get("jitter", 0)) * 1e6),
            float((options.get("loss-random") or {}).get("loss", 0)) if bursts is None else bursts.mean_loss,
            int(options.get("limit", 0)),
            int(rate.get("limit", 0)),
            round(room_s * (rate_bps or UNLIMITED_BPS) / 8),
            any(is_handle(major) for major in majors),
            bursts,
            float((options.get("duplicate") or {}).get("duplicate", 0)),
            float((options.get("corrupt") or {}).get("corrupt", 0)),
            bucket,
            loses is not None,
        )

    def matches(self, active: object) -> bool:
        return (
            isinstance(active, Netem)
            and self._form() == active._form()
            and abs(self.queue - active.queue) <= max(8, self.queue * 1e-4)
            and abs(self.held_bps - active.held_bps) <= 8
            # The kernel has one delay at a time of those that jitter makes, and nothing to draw.
            and abs(self.delay_us - active.delay_us) <= 2 + self.jitter_us
            and active.jitter_us == 0
            and (self.bursts is None) == (active.bursts is None)
            and all(_alike(*pair) for pair in zip(self._chances(), active._chances(), strict=True))
        )

    def _form(self) -> tuple[object, ...]:
        return self.limit, self.waiting, self.changeable, self.bucket, self.apart

    def _chances(self) -> tuple[float, ...]:
        return self.loss, self.duplicate, self.corrupt, *(() if self.bursts is None else _parameters(self.bursts))

    def __str__(self) -> str:
        parts = [self.kind]
        if self.rate_bps:
            parts.append(f"rate {self.rate_bps} bit/s queue {self.queue} bytes")
        if self.bucket is not None:
            parts.append(f"{self.bucket.discipline} behind a token bucket")
        if self.delay_us or self.jitter_us:
            parts.append(f"delay {self.delay_us} us")
        if self.jitter_us:
            parts.append(f"jitter {self.jitter_us} us")
        if self.loss:
            parts.append(f"loss {self.loss:.6g}")
        if self.bursts is not None:
            parts.append("gemodel " + " ".join(f"{value:.6g}" for value in _parameters(self.bursts)))
        if self.duplicate:
            parts.append(f"duplicate {self.duplicate:.6g}")
        if self.corrupt:
            parts.append(f"corrupt {self.corrupt:.6g}")
        return " ".join([*parts, f"limit {self.limit} packets"])


@functools.lru_cache(maxsize=_KEPT)
def _forms(after: Netem, before: Netem) -> tuple[netlink.Form, ...]:
    """What changes one into the other on any interface; hundreds of links change alike."""
    root, rate = after._course_form.handle << 16, _RATE << 16
    loss = after.loss if after.bursts is None else 0.0
    delays = NetemOptions(
        after.limit, after.delay_us, loss, ORDERING_RATE_BPS, duplicate=after.duplicate, corrupt=after.corrupt
    )
    changes = [qdisc_changes.qdisc_change(root, ROOT, Netem.kind, delays.encode())]
    if after.bursts != before.bursts:
        loses = NetemOptions(SMALL_PER_S, bursts=after.bursts)
        changes.append(qdisc_changes.qdisc_change(LOSES << 16, root | 1, Netem.kind, loses.encode()))
    if after.changes_rate(before):
        if after.bucket is None:
            waits = NetemOptions(after.waiting, rate_bps=after.rate_bps or 0)
            changes.append(qdisc_changes.qdisc_change(rate, QUEUE_PARENT, Netem.kind, waits.encode()))
        else:
            changes += after.bucket.changes(QUEUE_PARENT, _RATE, after.held_bps, after.queue)
        policed_bps = after.rate_bps or UNLIMITED_BPS
        changes.append(kernel_form.policer_change(policed_bps, after.queue, SUPER_PACKET_BYTES))
    return tuple(changes)


def _rate_of(bucket: Bucket | None, held_bps: int) -> int | None:
    """The rate of a link, from that of what holds it."""
    return None if held_bps in (0, None if bucket is None else UNLIMITED_BPS) else held_bps


def furthest_us(link: Link) -> int:
    """By how much jitter moves a link's delay at most, up or down, in microseconds."""
    distribution = link.distribution
    return math.ceil(max(-distribution.least, distribution.most) * link.jitter_us) if link.jitter_us else 0


def _moves_bursts(link: Link) -> bool:
    """Whether a link that loses packets in bursts has a delay that moves."""
    return link.bursts is not None and link.jitter_us > 0


def _parameters(bursts: GilbertElliott) -> tuple[float, float, float, float]:
    """In the order in which ``tc`` takes them."""
    return bursts.p, bursts.r, bursts.bad_loss, bursts.good_loss


def _alike(wanted: float, active: float) -> bool:
    """Whether two probabilities are equal up to rounding in the kernel's unit."""
    return abs(wanted - active) <= max(1e-6, wanted * 1e-3)


def moved_options(link: Link, delay_us: int) -> bytes:
    """The options, in the kernel's own form, that give the root qdisc of such a link another delay."""
    wanted = Netem.for_link(link)
    assert wanted is not None
    # struct tc_netem_qopt: latency (that of the attribute counts), limit, loss, gap, duplicate, jitter.
    # Losses in bursts are not its own.
    loss = link.loss if link.bursts is None else 0.0
    chances = [round(chance * 0xFFFFFFFF) for chance in (loss, link.duplicate)]
    head = struct.pack("=6I", 0, wanted.limit, chances[0], 0, chances[1], 0)
    return head + struct.pack("=HHq", 12, kernel_qdiscs.DELAY_ATTRIBUTE, delay_us * 1000)
