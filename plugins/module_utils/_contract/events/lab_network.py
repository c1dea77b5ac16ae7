"""How the lab hosts of a run are joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .. import lenient
from ..course_state import CourseState
from ..event import Event, read_as

NAMED = 6  # devices in one note


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

    @property
    def note(self) -> str | None:
        """What is missing, as a sentence; None: nothing is."""
        if self.unguarded is None:
            return None
        return (
            f"lab host {self.lab_host} cannot keep others than the run's lab hosts from sending to its devices over "
            f"UDP port {self.port}: {self.unguarded}"
        )

    def apply_to(self, course: CourseState) -> None:
        if self.note is not None:
            course.between_hosts[self.note] = None


@dataclass(frozen=True)
class LabHostReached(Event):
    """Another lab host answers on the run's network; packets are under way for so long, one way.

    That is taken off the emulated delay of what devices here and there send to each other.
    """

    name = "lab_host_reached"
    peer: str | None = read_as(lenient.name)
    one_way_us: int | None = read_as(lenient.whole)


@dataclass(frozen=True)
class LinksTooLong(Event):
    """Devices whose emulated delay to others is shorter than the real one, so that it is too long."""

    name = "links_too_long"
    devices: tuple[str, ...] = read_as(lenient.lines, ())
    one_way_us: int | None = read_as(lenient.whole)

    @property
    def note(self) -> str:
        """The same as a sentence."""
        return (
            f"{_names(self.devices)} on lab host {self.lab_host}: packets take {(self.one_way_us or 0) / 1e3:.1f} ms "
            "to or from another lab host, which is longer than the delay of the links between"
        )

    def apply_to(self, course: CourseState) -> None:
        course.between_hosts[self.note] = None


@dataclass(frozen=True)
class ClientsTooClose(Event):
    """Clients on one lab host have less delay between them than asked for.

    Where the way to the server's lab host is taken off the links of a device, and not off what it sends there alone.
    """

    name = "clients_too_close"
    devices: tuple[str, ...] = read_as(lenient.lines, ())
    one_way_us: int | None = read_as(lenient.whole)

    @property
    def note(self) -> str:
        """The same as a sentence."""
        return (
            f"{_names(self.devices)} on lab host {self.lab_host}: what they send to each other takes up to "
            f"{2 * (self.one_way_us or 0) / 1e3:.1f} ms less than their links' delay, as the way to the server's lab "
            "host is taken off their links there"
        )

    def apply_to(self, course: CourseState) -> None:
        course.between_hosts[self.note] = None


def _names(devices: Sequence[str]) -> str:
    more = f" and {len(devices) - NAMED} more" if len(devices) > NAMED else ""
    return ", ".join(devices[:NAMED]) + more
