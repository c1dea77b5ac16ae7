"""Delay, jitter and loss that userspace applies to packets arriving at a device, as a value."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fedsim_runner.contract.queue_size import FRAME_BYTES, UNLIMITED_BPS

from ..profile import DeviceLink, Profile

MAX_QUEUE_PACKETS = 131_072
_KERNEL_QUEUE_PACKETS = 1024  # NFQUEUE's own default


class Senders:
    """Delay, jitter and loss of every device's uplink, by address; compared without the seed."""

    def __init__(self, ups: Mapping[str, Sequence[float]], seed: int = 0) -> None:
        self.ups = ups
        self.seed = seed
        self._digest = hashlib.sha256(json.dumps(sorted(ups.items())).encode()).hexdigest()[:8]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Senders) and self._digest == other._digest

    def __hash__(self) -> int:
        return hash(self._digest)

    def __str__(self) -> str:
        return f"senders {self._digest}"

    @classmethod
    def of(cls, profile: Profile) -> Senders:
        """The uplinks of all devices of the run."""
        return cls({device.address: list(delay_jitter_loss(device)) for device in profile.all_devices}, profile.seed)


@dataclass(frozen=True)
class Arrivals:
    """``down``: delay and jitter in microseconds, and loss; ``single_packets``: super-packets are split up."""

    down: tuple[int, int, float]
    queue_packets: int
    single_packets: bool
    senders: Senders = field(repr=False)

    def __str__(self) -> str:
        delay, jitter, loss = self.down
        return (
            f"delay {delay} us jitter {jitter} us loss {loss:.6g} queue {self.queue_packets} packets"
            f"{' per packet' if self.single_packets else ''}, {self.senders}"
        )

    @classmethod
    def of(cls, device: DeviceLink, delaying: Iterable[DeviceLink], senders: Senders) -> Arrivals | None:
        """The arrivals of one device; None if neither its downlink nor any sender's uplink delays or drops packets.

        Args:
            device: the receiver.
            delaying: the run's devices whose uplinks delay or drop packets.
            senders: the uplinks of all of the run's devices.
        """
        others = [other.up for other in delaying if other.address != device.address]
        down = device.down
        if not (down.delays_or_drops or others):
            return None
        longest = max((up.delay_us + up.jitter_us for up in others), default=0) + down.delay_us + down.jitter_us
        held = (down.rate_bps or UNLIMITED_BPS) / 8 * longest / 1e6 / FRAME_BYTES
        # Twice as many, for packets smaller than a frame; never below the kernel's own default.
        packets = min(_KERNEL_QUEUE_PACKETS + math.ceil(2 * held), MAX_QUEUE_PACKETS)
        single = down.loss > 0 or any(up.loss for up in others)
        return cls((down.delay_us, down.jitter_us, down.loss), packets, single, senders)

    @classmethod
    def parse(cls, state: Mapping[str, Any], senders: Senders) -> Arrivals:
        """Build it from the packet process's state of one device."""
        delay, jitter, loss = state["down"]
        return cls((delay, jitter, loss), state["maxlen"], not state["gso"], senders)


def delay_jitter_loss(device: DeviceLink) -> tuple[int, int, float]:
    """Delay and jitter (microseconds) and loss of this device's uplink."""
    return device.up.delay_us, device.up.jitter_us, device.up.loss
