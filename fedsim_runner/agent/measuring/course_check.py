"""Rate and loss of links judged again over the whole course, from counters."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from types import MappingProxyType

from fedsim_runner.contract.events import LinkCounted
from fedsim_runner.contract.link import Link
from fedsim_runner.contract.link_verdict import OUT, UNDETERMINED, Counted, judge_course
from fedsim_runner.contract.time_scale import REAL_TIME, TimeScale

from ..links.profile import Profile
from ..links.run_links import RunLinks
from ..links.tally import Tally
from .findings import KERNEL, LOAD, describe_rate, in_full

#: So often the counters are read: those of a container that has ended can no longer be.
LOOK_S = 5.0


class CourseCheck:
    """Counts from the opening of the gate on. Not thread-safe: its owner holds a lock."""

    def __init__(self, links: RunLinks) -> None:
        self._links = links
        self._next_look = 0.0
        self._counts: Mapping[tuple[str, str], Tally] = {}

    def begin(self, running: Mapping[str, int]) -> None:
        """Count from now on: what measured the links is not counted."""
        self._links.count(running, afresh=True)

    def tick(self, now: float, running: Mapping[str, int]) -> None:
        """Read the counters now and then."""
        if now >= self._next_look:
            self._next_look = now + LOOK_S
            self._look(running)

    def events(
        self,
        profile: Profile,
        running: Mapping[str, int],
        late_s: float,
        changed: Collection[tuple[str, str]] = (),
        varying: Mapping[tuple[str, str], Collection[str]] = MappingProxyType({}),
        scale: TimeScale = REAL_TIME,
    ) -> list[LinkCounted]:
        """What was counted until now, one event for each direction of this lab host's devices, and of edges.

        Where packets take their sender's uplink when they arrive, there are also those of other lab hosts' devices.

        Args:
            profile: the links asked for.
            running: process ids of the running devices.
            late_s: the longest that a packet is known to have been late.
            changed: the directions that were changed meanwhile, by device and ``up`` or ``down``.
            varying: which of ``rate`` and ``loss`` a direction did not keep, by device and ``up`` or ``down``.
            scale: how device time and wall time are related.
        """
        self._look(running)
        here = {one.device for one in profile.devices}
        counted = [
            (one.device, way, link, tally)
            for one in profile.all_devices
            for way, link in (("up", one.up), ("down", one.down))
            if (tally := self._counts.get((one.device, way))) is not None and (one.device in here or tally.packets)
        ]
        names = {} if profile.topology is None else profile.topology.names()
        counted += [
            (*names[sites], link, tally)
            for sites, link in profile.edges.items()
            if (tally := self._counts.get(names[sites])) is not None
        ]
        found = [
            describe_count(*one, late_s, len(counted), changed=(one[0], one[1]) in changed, scale=scale)
            for one in counted
        ]
        return [_without_verdict_on(varying.get((str(one.device), str(one.direction)), ()), one) for one in found]

    def _look(self, running: Mapping[str, int]) -> None:
        self._counts = self._links.count(running) or self._counts


def _without_verdict_on(values: Collection[str], counted: LinkCounted) -> LinkCounted:
    """What was counted, without judging values that varied against the one at the beginning."""
    if "rate" in values:
        reason = "the rate varied, and counters of a whole course are judged by one rate"
        counted = replace(counted, rate_asked_bps=None, rate_verdict=UNDETERMINED, reason=reason)
    if "loss" in values:
        reason = "the loss varied, and counters of a whole course are judged by one loss"
        counted = replace(counted, loss_asked=None, loss_verdict=UNDETERMINED, reason=reason)
    return counted


def describe_count(
    device: str,
    way: str,
    asked: Link,
    tally: Tally,
    late_s: float,
    among: int,
    changed: bool = False,
    scale: TimeScale = REAL_TIME,
) -> LinkCounted:
    """Return what was counted of one direction, and what to think of it: in wall time, with a reason for people in the
    devices'.

    One that events have changed is not judged: it had several rates and losses, and there is one count of all.
    """
    # Those for which the queue had no room do not meet the loss, or have met it already.
    lost = tally.lost + tally.dropped
    packets = tally.packets + tally.dropped
    found = Counted(packets, lost, tally.rate.busiest_bps, tally.rate.ahead_bytes)
    rate_verdict, loss_verdict = judge_course(asked, found, late_s, among)
    reasons = []
    if changed:
        rate_verdict = None if rate_verdict is None else UNDETERMINED
        loss_verdict = UNDETERMINED
        reasons.append("events changed it during the course, so there is nothing to compare the counters with")
    if rate_verdict == OUT and asked.rate_bps is not None:
        busiest, where = describe_rate(found.busiest_bps, scale), "" if scale.is_real else " in device time"
        reasons.append(f"{busiest} passed, not {in_full(asked.rate_bps, scale)}{where} (likely reason: {KERNEL})")
    if loss_verdict == OUT:
        cause = f"{LOAD}: the lab host did not take {tally.dropped} in time" if tally.dropped else KERNEL
        reasons.append(f"{lost} of {packets} packets lost, not {asked.loss:.2%} (likely reason: {cause})")
    return LinkCounted(
        device=device,
        direction=way,
        packets=packets,
        lost=lost,
        overflowed=tally.overflowed,
        bytes=tally.bytes,
        rate_asked_bps=asked.rate_bps,
        rate_bps=round(found.busiest_bps),
        loss_asked=asked.loss,
        rate_verdict=rate_verdict,
        loss_verdict=loss_verdict,
        reason="; ".join(reasons) or None,
    )
