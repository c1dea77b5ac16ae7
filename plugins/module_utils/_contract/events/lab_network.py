"""How the lab hosts of a run are joined."""

from __future__ import annotations

from dataclasses import dataclass

from .. import lenient
from ..event import Event, read_as


@dataclass(frozen=True)
class LabNetworkJoined(Event):
    """A lab host has joined the others of its run.

    Attributes:
        vxlan_id: the first of the run's ids.
        port: UDP port that lab hosts send to.
        mtu: of the run's devices.
        others: the other lab hosts.
        unguarded: why others than lab hosts can send to the port; None: they cannot.
        encrypted: whether what passes between lab hosts is encrypted.
    """

    name = "lab_network_joined"
    vxlan_id: int | None = read_as(lenient.whole)
    port: int | None = read_as(lenient.whole)
    mtu: int | None = read_as(lenient.whole)
    others: tuple[str, ...] = read_as(lenient.lines, ())
    unguarded: str | None = read_as(lenient.text)
    encrypted: bool | None = read_as(lenient.flag, False)


@dataclass(frozen=True)
class LabHostReached(Event):
    """Another lab host answers on the run's network; packets are under way for so long, one way.

    That is taken off the emulated delay of the devices whose packets to and from the server cross over there.
    """

    name = "lab_host_reached"
    peer: str | None = read_as(lenient.name)
    one_way_us: int | None = read_as(lenient.whole)


@dataclass(frozen=True)
class LinksTooLong(Event):
    """Devices whose emulated delay is shorter than the real one between lab hosts, so that theirs is too long."""

    name = "links_too_long"
    devices: tuple[str, ...] = read_as(lenient.lines, ())
    one_way_us: int | None = read_as(lenient.whole)
