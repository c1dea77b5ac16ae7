"""The requested links of a run on one lab host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fedsim_runner.contract.link import Link


@dataclass(frozen=True)
class DeviceLink:
    """A device's requested link and its address on the run's network."""

    device: str
    address: str
    up: Link
    down: Link


@dataclass(frozen=True)
class Profile:
    """``devices`` are on this lab host, ``peers`` are the run's others; ``seed`` fixes all random draws."""

    devices: Sequence[DeviceLink]
    peers: Sequence[DeviceLink] = field(default=())
    seed: int = 0

    @property
    def all_devices(self) -> list[DeviceLink]:
        """All devices of the run."""
        return [*self.devices, *self.peers]

    @property
    def links(self) -> list[Link]:
        """Both directions of all devices' links."""
        return [link for device in self.all_devices for link in (device.up, device.down)]

    def without_links(self) -> Profile:
        """The same devices without shaping."""
        return Profile([DeviceLink(device.device, device.address, Link(), Link()) for device in self.devices])
