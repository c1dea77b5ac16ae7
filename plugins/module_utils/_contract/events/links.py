"""Links: shaped, measured, counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from .. import lenient
from ..course_state import CourseState
from ..event import Event, read_as
from ..link_verdict import OUT, UNDETERMINED, WITHIN
from ..topology import is_edge


@dataclass(frozen=True)
class LinkShaped(Event):
    """A device's link is in force."""

    name = "link_shaped"
    device: str | None = read_as(lenient.name)
    changed: bool | None = read_as(lenient.flag, True)

    def apply_to(self, course: CourseState) -> None:
        if self.device is not None:
            course.shaped.add(self.device)


@dataclass(frozen=True)
class LinkReapplied(Event):
    """A device's container was restarted, and its link is in force again."""

    name = "link_reapplied"
    device: str | None = read_as(lenient.name)

    def apply_to(self, course: CourseState) -> None:
        if self.device is not None:
            course.shaped.add(self.device)
            course.restarted.add(self.device)


@dataclass(frozen=True)
class LinkRestored(Event):
    """Somebody else had changed a device's link, which is in force again.

    ``found``: what differed; ``for_s``: at most so many seconds long.
    """

    name = "link_restored"
    device: str | None = read_as(lenient.name)
    found: str | None = read_as(lenient.text)
    for_s: float | None = read_as(lenient.number)

    def apply_to(self, course: CourseState) -> None:
        if self.device is not None:
            course.restored_links.setdefault(self.device, []).append(self)


@dataclass(frozen=True)
class LinkFailed(Event):
    """A device's link could not be restored."""

    name = "link_failed"
    device: str | None = read_as(lenient.name)
    reason: str | None = read_as(lenient.text)


@dataclass(frozen=True)
class LinksUnshaped(Event):
    """No link is in force, and the experiment allows that."""

    name = "links_unshaped"
    reason: str | None = read_as(lenient.text)

    def apply_to(self, course: CourseState) -> None:
        course.unshaped.append(str(self.reason))


@dataclass(frozen=True)
class PacketsTimed(Event):
    """How punctual the process was that holds a lab host's packets, from its start to the end of the course.

    ``packets``: those that passed; ``late_1ms`` and ``late_5ms``: those that left so much later than they were due;
    ``latest_us``: the latest; ``scheduling``: how that process runs.
    """

    name = "packets_timed"
    packets: int | None = read_as(lenient.whole)
    late_1ms: int | None = read_as(lenient.whole)
    late_5ms: int | None = read_as(lenient.whole)
    latest_us: int | None = read_as(lenient.whole)
    scheduling: str | None = read_as(lenient.text)

    def apply_to(self, course: CourseState) -> None:
        course.packets[course.host_of(self)] = self


@dataclass(frozen=True)
class LinkMeasured(Event):
    """What one direction of a device's link was measured to be, before the gate opens or when somebody asked for it.

    For an edge ``device`` is its name (topology.py). Of what several lab hosts have measured of it, the worst counts.
    ``asked`` in a field's name: what the experiment says. ``verdict``: within, out or undetermined; ``reason``: why it
    is not within. None for what could not be measured.
    """

    name = "link_measured"
    device: str | None = read_as(lenient.name)
    direction: str | None = read_as(lenient.name)
    delay_asked_us: int | None = read_as(lenient.whole)
    delay_us: int | None = read_as(lenient.whole)
    jitter_asked_us: int | None = read_as(lenient.whole)
    jitter_us: int | None = read_as(lenient.whole)
    rate_asked_bps: int | None = read_as(lenient.whole)
    rate_bps: int | None = read_as(lenient.whole)
    loss_asked: float | None = read_as(lenient.number)
    loss: float | None = read_as(lenient.number)
    burst_bytes: int | None = read_as(lenient.whole)
    sent: int | None = read_as(lenient.whole)
    lost: int | None = read_as(lenient.whole)
    verdict: str | None = read_as(lenient.text)
    reason: str | None = read_as(lenient.text)

    @property
    def about(self) -> str | None:
        return _device(self.device)

    def apply_to(self, course: CourseState) -> None:
        if self.device is not None and self.direction is not None:
            key = self.device, self.direction
            known = course.measured_links.get(key, self)
            is_worse = known.lab_host != self.lab_host and _RANKS.get(known.verdict, 0) > _RANKS.get(self.verdict, 0)
            course.measured_links[key] = known if is_worse else self


@dataclass(frozen=True)
class LinksMeasured(Event):
    """The links of a lab host's devices were measured: how many directions with each verdict.

    ``seconds``: how long it took; ``reason``: why they were not measured.
    """

    name = "links_measured"
    within: int | None = read_as(lenient.whole)
    out: int | None = read_as(lenient.whole)
    undetermined: int | None = read_as(lenient.whole)
    seconds: float | None = read_as(lenient.number)
    reason: str | None = read_as(lenient.text)


@dataclass(frozen=True)
class LinkCounted(Event):
    """What passed one direction of a device's link during the course, and what that says about its rate and loss.

    For an edge ``device`` is its name (topology.py).

    Attributes:
        packets: that were sent over it.
        lost: those of them that did not arrive, without ``overflowed``, for which the queue had no room.
        bytes: of those that did.
        rate_bps: the highest rate over a second or more.
        rate_verdict: within, out or undetermined; None: the rate is not limited.
        loss_verdict: within, out or undetermined.
        reason: what is out, and why.
    """

    name = "link_counted"
    device: str | None = read_as(lenient.name)
    direction: str | None = read_as(lenient.name)
    packets: int | None = read_as(lenient.whole)
    lost: int | None = read_as(lenient.whole)
    overflowed: int | None = read_as(lenient.whole)
    bytes: int | None = read_as(lenient.whole)
    rate_asked_bps: int | None = read_as(lenient.whole)
    rate_bps: int | None = read_as(lenient.whole)
    loss_asked: float | None = read_as(lenient.number)
    rate_verdict: str | None = read_as(lenient.text)
    loss_verdict: str | None = read_as(lenient.text)
    reason: str | None = read_as(lenient.text)

    @property
    def about(self) -> str | None:
        return _device(self.device)

    def apply_to(self, course: CourseState) -> None:
        if self.device is not None and self.direction is not None:
            known = course.counted_links.get((self.device, self.direction), self)
            found = self if known.lab_host == self.lab_host else known.with_those_of(self)
            course.counted_links[self.device, self.direction] = found

    def with_those_of(self, other: LinkCounted) -> LinkCounted:
        """What both lab hosts have counted of the same direction; the worse verdict, and any rather than none."""
        return replace(
            self,
            packets=(self.packets or 0) + (other.packets or 0),
            lost=(self.lost or 0) + (other.lost or 0),
            overflowed=(self.overflowed or 0) + (other.overflowed or 0),
            bytes=(self.bytes or 0) + (other.bytes or 0),
            rate_bps=max(self.rate_bps or 0, other.rate_bps or 0),
            rate_verdict=_worse(self.rate_verdict, other.rate_verdict),
            loss_verdict=_worse(self.loss_verdict, other.loss_verdict),
            reason="; ".join(dict.fromkeys(reason for reason in (self.reason, other.reason) if reason)) or None,
        )


_RANKS: Mapping[str | None, int] = {OUT: 2, UNDETERMINED: 1}


def _device(name: str | None) -> str | None:
    return None if name is None or is_edge(name) else name


def _worse(one: str | None, other: str | None) -> str | None:
    return next((verdict for verdict in (OUT, WITHIN) if verdict in (one, other)), one or other)
