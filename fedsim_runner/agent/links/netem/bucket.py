"""The rate of a direction as a token bucket, for what a netem at its place does not do.

A netem has no queue discipline, and a kernel lets none that duplicates packets be in a tree with another one. A tbf has
a queue of any discipline, but a bucket: a lone frame passes without the time that its own bytes take.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fedsim_runner.contract.link import CODEL_TARGET_US, Link
from fedsim_runner.contract.link_verdict import bucket_bytes

from ...kernel import netlink, qdisc_changes, tbf_form

KIND = "tbf"
FIFO = "fifo"
#: The disciplines that have a qdisc of their own; a tbf's own queue is a fifo.
DISCIPLINES = ("codel", "fq_codel")
_QUEUE_HANDLE = 8
#: The kernel's interval in targets, as RFC 8289 has it.
_INTERVAL = 20
#: The kernel keeps the target in units of 1024 ns, and shows whole microseconds of it.
_SHOWN_US = 100
# Attributes of both disciplines (linux/pkt_sched.h: TCA_CODEL_..., TCA_FQ_CODEL_...).
_TARGET, _LIMIT, _INTERVAL_US = 1, 2, 3


def has_bucket(link: Link) -> bool:
    """Whether a link's rate is that of a token bucket."""
    return link.rate_bps is not None and (link.discipline != FIFO or link.duplicate > 0)


@dataclass(frozen=True)
class Bucket:
    """The tbf and what waits in it.

    Attributes:
        discipline: of its queue.
        limit: most packets in the queue; with ``fifo``, bytes.
        target_us: the delay that its discipline lets stand, in whole tenths of a millisecond.
    """

    discipline: str
    limit: int
    target_us: int = CODEL_TARGET_US

    @classmethod
    def of(cls, discipline: str, rate_bps: int, queue_bytes: int, packets: int, target_us: int | None = None) -> Bucket:
        """The bucket for a rate and a queue of so many bytes and packets at most."""
        if discipline == FIFO:
            return cls(discipline, bucket_bytes(rate_bps) + queue_bytes)
        return cls(discipline, packets, _as_shown(target_us or CODEL_TARGET_US))

    def commands(self, interface: str, parent: str, handle: int, rate_bps: int, queue_bytes: int) -> list[list[str]]:
        """``tc``'s commands that put it below ``parent``."""
        replace = ["qdisc", "replace", "dev", interface, "parent"]
        burst = bucket_bytes(rate_bps)
        room = ["rate", f"{rate_bps}bit", "burst", f"{burst}b", "limit", f"{burst + queue_bytes}b"]
        found = [[*replace, parent, "handle", f"{handle:x}:", KIND, *room]]
        if self.discipline != FIFO:
            below = [f"{handle:x}:1", "handle", f"{_QUEUE_HANDLE:x}:", self.discipline, "limit", f"{self.limit}"]
            if self.target_us != CODEL_TARGET_US:
                below += ["target", f"{self.target_us}us", "interval", f"{_INTERVAL * self.target_us}us"]
            found.append([*replace, *below])
        return found

    def changes(self, parent: int, handle: int, rate_bps: int, queue_bytes: int) -> list[netlink.Form]:
        """The requests that change one of the same discipline to it in place, below ``parent``; nothing is dropped."""
        burst = bucket_bytes(rate_bps)
        held = tbf_form.encode(rate_bps, burst + queue_bytes, burst)
        found = [qdisc_changes.qdisc_change(handle << 16, parent, KIND, held)]
        if self.discipline != FIFO:
            options = encode_discipline(self.limit, self.target_us)
            below = handle << 16 | 1
            found.append(qdisc_changes.qdisc_change(_QUEUE_HANDLE << 16, below, self.discipline, options))
        return found

    @classmethod
    def read_back(
        cls, discipline: str, index: int, parent: int, handle: int, shown: qdisc_changes.Shown
    ) -> tuple[Bucket, int]:
        """What the kernel has after such a change, and its rate in bit/s.

        Raises:
            OSError: it is no longer there.
        """
        rate_bps, limit, _ = tbf_form.decode(qdisc_changes.options_of(shown, index, parent, KIND))
        if discipline == FIFO:
            return cls(discipline, limit), rate_bps
        packets, target_us = decode_discipline(qdisc_changes.options_of(shown, index, handle << 16 | 1, discipline))
        return cls(discipline, packets, _as_shown(target_us)), rate_bps

    @classmethod
    def parse(cls, entries: Sequence[Mapping[str, Any]]) -> tuple[Bucket, int] | None:
        """The bucket among an interface's qdiscs and its rate in bit/s; None: there is none."""
        by_kind = {entry.get("kind"): entry.get("options") or {} for entry in entries}
        options = by_kind.get(KIND)
        if options is None:
            return None
        discipline = next((kind for kind in DISCIPLINES if kind in by_kind), FIFO)
        rate_bps = int(options.get("rate", 0)) * 8
        if discipline == FIFO:
            return cls(discipline, int(options.get("limit", 0))), rate_bps
        shown = by_kind[discipline]
        return cls(discipline, int(shown.get("limit", 0)), _as_shown(shown.get("target", CODEL_TARGET_US))), rate_bps


def encode_discipline(packets: int, target_us: int) -> bytes:
    """The options of a codel or fq_codel in the kernel's own form: most packets, and the delay that it lets stand."""
    values = {_TARGET: target_us, _LIMIT: packets, _INTERVAL_US: _INTERVAL * target_us}
    return b"".join(netlink.attribute(key, struct.pack("=I", value)) for key, value in values.items())


def decode_discipline(options: bytes) -> tuple[int, int]:
    """The reverse of :func:`encode_discipline`."""
    values = dict(netlink.attributes(options))
    packets, target_us = (int(struct.unpack("=I", values[key])[0]) for key in (_LIMIT, _TARGET))
    return packets, target_us


def _as_shown(target_us: float) -> int:
    return max(_SHOWN_US, round(target_us / _SHOWN_US) * _SHOWN_US)
