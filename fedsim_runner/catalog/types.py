"""Device types and network profiles as values.

Rates are bit/s (block I/O: bytes/s), times microseconds, memory bytes. All values are frozen.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..compute.values import Compute
from ..contract.device_file import DISK_BYTES
from ..contract.energy import EnergyModel
from ..contract.link import Link, Links
from ..contract.link_variation import LinkState


@dataclass(frozen=True, kw_only=True)
class Varying:
    """How a profile's link varies during the course: along tracks, or between states.

    Attributes:
        planned: the profile's own values, which hold where a track says nothing.
        up: name of the track of this direction among the experiment's; None: it does not vary.
        down: the same for the other direction.
        loop: whether tracks begin again at their end.
        offset_s: where in its tracks a device is when the gate opens; None: the seed and its name determine it.
        states: those that the link moves between.
    """

    planned: Links
    up: str | None = None
    down: str | None = None
    loop: bool = True
    offset_s: float | None = 0.0
    states: tuple[LinkState, ...] = ()


@dataclass(frozen=True)
class NetworkProfile:
    """A named link: ``up`` is the device's egress, ``down`` its ingress; of one that varies, these are its means."""

    name: str
    up: Link
    down: Link
    varying: Varying | None = None

    @property
    def links(self) -> Links:
        """Both directions, as other processes know them."""
        return Links(self.up, self.down)


@dataclass(frozen=True)
class DeviceType:
    """A hardware class.

    ``dockerfile``: its folder under dockerfiles/, or the absolute path of the user's folder. ``compute``: how fast it
    is; None: it is nominal. ``energy``: its power figures; None: there are none.
    """

    name: str
    cpus: float
    memory_bytes: int
    arch: str  # Docker's names: amd64, arm64
    gpus: int
    pids: int
    network: str
    dockerfile: str
    disk_bytes: int = DISK_BYTES  # for what it writes
    read_bps: int | None = None  # block I/O, bytes per second
    write_bps: int | None = None
    emulated_by: str | None = None  # on lab hosts of another architecture; None: it runs as those do
    compute: Compute | None = field(default=None, metadata={"omit_default": True})
    energy: EnergyModel | None = field(default=None, metadata={"omit_default": True})
