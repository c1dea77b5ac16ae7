"""The qdiscs of a link in the kernel's own form, for changing them in place and reading them back.

Numbers and forms: linux/pkt_sched.h (``struct tc_netem_qopt``, ``tc_netem_rate``, ``tc_netem_gemodel``,
``tc_netem_corrupt``), linux/pkt_cls.h (``tc_police``).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from fedsim_runner.contract.gilbert_elliott import GilbertElliott

from ...kernel import netlink, qdisc_changes

_HEAD = struct.Struct("=6I")  # latency (that of the attribute counts), limit, loss, gap, duplicate, jitter
_CORRUPT, _LOSS, _RATE, _RATE64, _LATENCY64 = 4, 5, 6, 8, 10
_CORRUPT_FORM = struct.Struct("=II")  # probability, correlation
_MODEL, _MODEL_FORM = 2, struct.Struct("=IIII")  # p, r, h (what the bad state does not lose), 1-k
_RATE_FORM = struct.Struct("=IiIi")  # bytes a second, and what does not apply to frames
_LARGEST = 0xFFFFFFFF

_NEWACTION = 48
_ACTIONS_HEAD = bytes(4)  # struct tcamsg
_ACTIONS, _ACTION_KIND, _ACTION_OPTIONS = 1, 1, 2
_POLICE, _POLICE_RATE, _POLICE_RESULT = 1, 2, 5
_POLICER = struct.Struct("=IiIII")  # index, what happens to what exceeds the rate, limit, burst, longest packet
_REST = bytes(12)  # how often it is used, and what it can do: the kernel's to say
_DROP, _PASS = 2, 0
_TABLE = bytes(1024)  # of transmission times, which the kernel computes itself


@dataclass(frozen=True)
class NetemOptions:
    """What is set of a netem qdisc; ``rate_bps`` 0: it has none. ``loss`` does not count where there are ``bursts``."""

    limit: int
    delay_us: int = 0
    loss: float = 0.0
    rate_bps: int = 0
    bursts: GilbertElliott | None = None
    duplicate: float = 0.0
    corrupt: float = 0.0

    def encode(self) -> bytes:
        """The options of a netem with these values, and with no other that is random."""
        rate = self.rate_bps // 8
        return (
            _HEAD.pack(0, self.limit, _number(self.loss), 0, _number(self.duplicate), 0)
            + netlink.attribute(_LATENCY64, struct.pack("=q", self.delay_us * 1000))
            + netlink.attribute(_RATE, _RATE_FORM.pack(min(rate, _LARGEST), 0, 0, 0))
            + (netlink.attribute(_RATE64, struct.pack("=Q", rate)) if rate > _LARGEST else b"")
            + netlink.attribute(_CORRUPT, _CORRUPT_FORM.pack(_number(self.corrupt), 0))
            + (b"" if self.bursts is None else netlink.attribute(_LOSS, _encode_model(self.bursts)))
        )

    @classmethod
    def decode(cls, options: bytes) -> NetemOptions:
        """The reverse of :meth:`encode`."""
        _, limit, loss, _, duplicate, _ = _HEAD.unpack_from(options)
        values = dict(netlink.attributes(options[_HEAD.size :]))
        rate = _RATE_FORM.unpack(values[_RATE])[0] if _RATE in values else 0
        if _RATE64 in values:
            (rate,) = struct.unpack("=Q", values[_RATE64])
        (delay_ns,) = struct.unpack("=q", values[_LATENCY64]) if _LATENCY64 in values else (0,)
        corrupt = _CORRUPT_FORM.unpack(values[_CORRUPT])[0] if _CORRUPT in values else 0
        model = dict(netlink.attributes(values.get(_LOSS, b""))).get(_MODEL)
        return cls(
            limit,
            round(delay_ns / 1000),
            loss / _LARGEST,
            rate * 8,
            None if model is None else _decode_model(model),
            duplicate / _LARGEST,
            corrupt / _LARGEST,
        )


def _number(chance: float) -> int:
    """A probability in the kernel's unit."""
    return round(chance * _LARGEST)


def _encode_model(bursts: GilbertElliott) -> bytes:
    chances = (bursts.p, bursts.r, 1 - bursts.bad_loss, bursts.good_loss)
    return netlink.attribute(_MODEL, _MODEL_FORM.pack(*map(_number, chances)))


def _decode_model(form: bytes) -> GilbertElliott:
    p, r, h, good_loss = (number / _LARGEST for number in _MODEL_FORM.unpack(form))
    return GilbertElliott(p, r, 1 - h, good_loss)


def policer_change(rate_bps: int, burst_bytes: int, longest_bytes: int) -> netlink.Form:
    """The request to change the policer that has the number of its interface; then it lets a whole burst through again.

    It is changed in place. For each filter or policer that is made anew, the kernel gets memory and gives that of the
    old one back, in a thread of ordinary priority. While this waited for processors on which devices computed, the next
    change waited for it, for up to 0.3 s.

    Args:
        rate_bps: what it lets through.
        burst_bytes: at once.
        longest_bytes: of a packet.
    """
    rate = qdisc_changes.rate_specification(rate_bps)
    ticks = round(burst_bytes * 8 / rate_bps / qdisc_changes.TICK_S)
    police = _POLICER.pack(0, _DROP, 0, ticks, longest_bytes) + rate + bytes(len(rate)) + _REST
    options = (
        netlink.attribute(_POLICE, police)
        + netlink.attribute(_POLICE_RATE, _TABLE)
        + netlink.attribute(_POLICE_RESULT, struct.pack("=I", _PASS))
    )
    action = netlink.attribute(_ACTION_KIND, b"police\0") + netlink.attribute(_ACTION_OPTIONS, options)
    body = _ACTIONS_HEAD + netlink.attribute(_ACTIONS, netlink.attribute(1, action))
    # The number is the first of the policer's own, which begin all options.
    place = len(body) - len(netlink.attribute(_ACTION_OPTIONS, options)) + 2 * netlink.HEAD_BYTES
    return netlink.Form.of(netlink.Request(_NEWACTION, netlink.REPLACE, body), place)
