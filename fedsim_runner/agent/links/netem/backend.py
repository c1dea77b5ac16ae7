"""The netem back end: the kernel does everything but jitter, and goes on doing so without the agent.

For jitter the agent moves the delay (moving_delays.py); without the agent
it stays as it was last. netem keeps packets in order when the delay falls only if it has a rate, so such a link gets
one of 100 Gbit/s.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from fedsim_runner.contract.link import Link
from fedsim_runner.contract.queue_size import FRAME_BYTES
from fedsim_runner.contract.time_scale import REAL_TIME, TimeScale

from ...kernel.root_qdisc import Qdisc
from ..changes import Failures, Settings
from ..need import Need
from ..network.run_namespace import RunNamespace
from ..network.veth import DOWN, SEGMENTS, UP
from ..network.wiring import end_name
from ..profile import DeviceLink, Profile
from ..protocol import LinkBackend
from ..tally import Passed, Tally
from .bucket import DISCIPLINES, has_bucket
from .course_form import CourseForm, lacking
from .edges import KernelEdges
from .kernel_counts import Direction, KernelCounts, directions_of
from .moving_delays import Movement, MovingDelays, describe_movement, plan_movement
from .needs import BUCKET, NETEM, POLICER_PIECE, QUEUES
from .qdisc import Netem

MOVED = "moved delay"


#: The form of a direction of a device's link.
_FormOf = Callable[[str, str, Link], CourseForm | None]


class Backend(LinkBackend):
    """Qdiscs at each end of a device's veth pair, and a thread that moves the delay of those with jitter."""

    name: ClassVar[str] = "netem"
    preference: ClassVar[int] = 10
    qdiscs: ClassVar[tuple[type[Qdisc], ...]] = (Netem,)
    separates_sites: ClassVar[bool] = True

    def __init__(self, probed: Mapping[str, Any]) -> None:
        self._delays = MovingDelays()
        self._edges = KernelEdges(self._delays)
        self._counts = KernelCounts()
        self._directions: dict[str, Sequence[Direction]] = {}  # by device
        self._edge_directions: Sequence[Direction] = ()
        self._changing: Mapping[tuple[str, str], Collection[Link]] = {}
        self._forms: dict[tuple[str, str], CourseForm] = {}  # of these
        self._network = RunNamespace()

    def use_network(self, network: RunNamespace) -> None:
        self._network = network

    @staticmethod
    def needs(links: Iterable[Link]) -> list[Need]:
        links = list(links)
        needed = [NETEM] if any(link.rate_bps or link.delays_or_drops for link in links) else []
        limited = [link for link in links if link.rate_bps]
        needed += [POLICER_PIECE] if limited else []
        needed += [BUCKET] if any(map(has_bucket, limited)) else []
        return [*needed, *(QUEUES[name] for name in DISCIPLINES if any(link.discipline == name for link in limited))]

    @staticmethod
    def lacks(links: Iterable[Link], changing: Iterable[Collection[Link]] = ()) -> Iterator[str]:
        links = list(links)
        # Where there is one that duplicates packets, the kernel takes no other netem.
        if any(link.bursts is not None and link.jitter_us and link.duplicate for link in links):
            yield "loses no packets in bursts where links have jitter and duplicates"
        yield from dict.fromkeys(what for one in changing for what in lacking(one))

    @staticmethod
    def approximates(links: Sequence[Link], scale: TimeScale = REAL_TIME) -> Iterator[str]:
        yield from describe_movement(links, scale)
        slow = [link.rate_bps for link in links if link.rate_bps and has_bucket(link)]
        if slow:
            yield (
                "has a token bucket for the rate of links with duplicates, codel or fq_codel: a frame alone does not "
                f"take the time for its own bytes (at most {scale.to_device(FRAME_BYTES * 8e3 / min(slow)):.2g} ms)"
            )

    def plan(self, profile: Profile) -> dict[str, Settings]:
        self._directions = {one.device: _directions_of(one) for one in profile.devices}
        self._edge_directions = self._edges.directions(profile)
        # Qdiscs count, drop and time what enters them: packets of up to 64 kB, which the kernel cuts behind them even
        # without segmentation offload. These come from the sender, so one link anywhere concerns every device.
        single_frames = any(link.alters_packets or link.rate_bps for link in profile.links)
        form = self._form_in(profile)
        segments = {SEGMENTS: 1} if single_frames else {}
        edges = self._edges.plan(profile)
        return {
            one.device: {**_own_settings(one, profile, form), **segments, **edges[one.device]}
            for one in profile.devices
        }

    def plan_changed(self, profile: Profile, devices: Collection[str]) -> Mapping[str, Settings]:
        # Whether there are single frames depends on all links that there may be during the course, and stays.
        changed, form = [one for one in profile.devices if one.device in devices], self._form_in(profile)
        self._directions = {**self._directions, **{one.device: _directions_of(one) for one in changed}}
        return {one.device: _own_settings(one, profile, form) for one in changed}

    def _form_in(self, profile: Profile) -> _FormOf:
        """The form of a direction of a profile, with its link; None: no link changes, and it needs none."""
        if not profile.may_change:
            return lambda *_: None
        if profile.changing is not self._changing:  # the same throughout a run, in which links change again and again
            self._changing = profile.changing
            self._forms = {way: CourseForm.of(links) for way, links in profile.changing.items()}
        return lambda device, way, link: self._forms.get((device, way)) or CourseForm.of([link])

    def read(self, namespaces: Mapping[str, str]) -> tuple[dict[str, Settings], Failures]:
        edges = self._edges.read(list(namespaces), self._network)
        return {
            name: {MOVED: self._delays.active(name, path, self._network.path), **edges[name]}
            for name, path in namespaces.items()
        }, {}

    def apply(self, changes: Mapping[str, Settings], namespaces: Mapping[str, str]) -> Failures:
        failed = self._edges.apply(changes, self._network)
        for name, change in changes.items():
            if MOVED not in change or name in failed:
                continue
            wanted, path = change[MOVED], namespaces[name]
            self._delays.forget(name)
            if isinstance(wanted, Movement):
                try:
                    self._delays.set(name, wanted, path, self._network.path)
                except OSError as error:
                    failed[name] = str(error)
        return failed

    def count(self, namespaces: Mapping[str, str], afresh: bool) -> dict[tuple[str, str], Tally]:
        return self._counts.read(self._counted(), namespaces, self._network, afresh)

    def look(self, namespaces: Mapping[str, str]) -> dict[tuple[str, str], Passed]:
        return self._counts.look(self._counted(), namespaces, self._network)

    def forget(self, device: str) -> None:
        self._delays.forget(device)
        self._counts.forget(device)

    def failure(self) -> str | None:
        return self._delays.failure()

    def stop(self) -> None:
        self._delays.stop()
        self._counts.stop()

    def _counted(self) -> list[Direction]:
        return [*itertools.chain.from_iterable(self._directions.values()), *self._edge_directions]


def _own_settings(one: DeviceLink, profile: Profile, form: _FormOf) -> Settings:
    """What follows from a device's own link."""
    return {
        UP: Netem.for_link(one.up, form(one.device, UP, one.up)),
        DOWN: Netem.for_link(one.down, form(one.device, DOWN, one.down)),
        MOVED: plan_movement(one.up, one.down, end_name(one.address), f"{profile.seed}/{one.device}"),
    }


def _directions_of(one: DeviceLink) -> Sequence[Direction]:
    return tuple(directions_of(one.device, one.up, one.down, end_name(one.address)))
