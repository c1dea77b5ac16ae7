"""How the lab hosts of a run are joined."""

from __future__ import annotations

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

    @property
    def note(self) -> str:
        """The same as a sentence."""
        named = ", ".join(self.devices[:NAMED])
        more = f" and {len(self.devices) - NAMED} more" if len(self.devices) > NAMED else ""
        return (
            f"{named}{more} on lab host {self.lab_host}: packets take {(self.one_way_us or 0) / 1e3:.1f} ms to or from "
            "the server's lab host, which is longer than their links' delay"
        )

    def apply_to(self, course: CourseState) -> None:
        course.between_hosts[self.note] = None
