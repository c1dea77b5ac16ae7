"""The options of a tbf in the kernel's own form: linux/pkt_sched.h (``struct tc_tbf_qopt``, ``TCA_TBF_...``)."""

from __future__ import annotations

import struct

from . import netlink, qdisc_changes

_PARAMETERS, _RATE64, _BURST = 1, 4, 6
_PARAMETERS_FORM = struct.Struct("=8xI12xII4x")  # of struct tc_tbf_qopt: the rate, the limit, the burst


def encode(rate_bps: int, limit: int, burst: int) -> bytes:
    """The options of a tbf: struct tc_tbf_qopt, and the rate in 64 bits, the burst in bytes.

    Args:
        rate_bps: in bit/s.
        limit: most bytes that wait; where its queue is no fifo, that has a limit of its own.
        burst: bytes that pass at once.
    """
    rate = qdisc_changes.rate_specification(rate_bps)
    ticks = round(burst * 8 / rate_bps / qdisc_changes.TICK_S)
    parameters = rate + bytes(len(rate)) + struct.pack("=3I", limit, ticks, 0)
    return (
        netlink.attribute(_PARAMETERS, parameters)
        + netlink.attribute(_RATE64, struct.pack("=Q", rate_bps // 8))
        + netlink.attribute(_BURST, struct.pack("=I", burst))
    )


def decode(options: bytes) -> tuple[int, int, int]:
    """The rate in bit/s, the limit and the burst; the burst is there as the time that it takes at the rate."""
    values = dict(netlink.attributes(options))
    rate, limit, ticks = _PARAMETERS_FORM.unpack_from(values[_PARAMETERS])
    if _RATE64 in values:
        (rate,) = struct.unpack("=Q", values[_RATE64])
    return rate * 8, limit, round(ticks * qdisc_changes.TICK_S * rate)
