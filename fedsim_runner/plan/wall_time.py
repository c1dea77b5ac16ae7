"""A dilated run by the clocks of its lab hosts: every time and rate of an experiment, scaled. Pure.

The plan counts in device time, as the experiment file does; the inventory has what lab hosts and participants put in
force, which is in wall time. This is the one place where the first becomes the second: cpus apart, which the plan
scales. Bytes, shares, probabilities and counts are the same in both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..catalog.types import NetworkProfile
from ..contract.link import CODEL_TARGET_US, Link, Links, Queue
from ..contract.link_variation import Track
from ..contract.queue_size import BUFFER_S, FRAME_BYTES, MIN_BUFFER_FRAMES
from ..contract.time_scale import TimeScale
from ..contract.timeline import LinkChange, TimelineEntry
from ..contract.topology import Topology
from ..spec.experiment import CourseLimits, Device, Experiment
from .model import PlacedDevice, Plan
from .varying_links import variation_of

# FederatedScope's keys that are seconds, all of its section `asyn`. Its alarm takes whole seconds; 0: it has none.
_SECONDS_OF_ASYN = ("time_budget",)


def plan_in_wall_time(plan: Plan) -> Plan:
    """Return what the inventory of a plan is made from; in real time that is the plan itself."""
    if plan.time_scale.is_real:
        return plan
    experiment = in_wall_time(plan.experiment, plan.time_scale)
    return replace(plan, experiment=experiment, placed=tuple(with_devices(plan.placed, experiment)))


def with_devices(placed: Sequence[PlacedDevice], experiment: Experiment) -> list[PlacedDevice]:
    """Return the placed devices as this experiment has them."""
    devices = {device.name: device for device in experiment.devices}
    return [replace(item, device=devices[item.device.name]) for item in placed]


def in_wall_time(experiment: Experiment, scale: TimeScale) -> Experiment:
    """Return the experiment with the times and rates by lab hosts' clocks that it has at this scale by its devices'."""
    if scale.is_real:
        return experiment
    return replace(
        experiment,
        devices=tuple(_device(device, experiment, scale) for device in experiment.devices),
        course=_course(experiment.course, scale),
        config=_config(experiment.config, scale),
        timeline=tuple(_entry(entry, scale) for entry in experiment.timeline),
        topology=None if experiment.topology is None else _topology(experiment.topology, scale),
        tracks={name: track_in_wall_time(track, scale) for name, track in experiment.tracks.items()},
    )


def link_in_wall_time(link: Link, scale: TimeScale) -> Link:
    """Return one direction of a link: its rate, its delays, and the time for which its queue delays."""
    return replace(
        link,
        rate_bps=_whole(scale.rate(link.rate_bps)),
        delay_us=round(scale.to_wall(link.delay_us)),
        jitter_us=round(scale.to_wall(link.jitter_us)),
        queue=queue_in_wall_time(link, scale),
    )


def queue_in_wall_time(link: Link, scale: TimeScale) -> Queue | None:
    """Return a link's queue with as many bytes of room as it has by device time; the usual one is named, too."""
    queue = link.queue or Queue()
    if queue.discipline != "fifo":
        queue = replace(queue, target_us=round(scale.to_wall(CODEL_TARGET_US)))
    if queue.buffer_us is not None:
        return replace(queue, buffer_us=round(scale.to_wall(queue.buffer_us)))
    if queue.buffer_bytes is not None:
        return queue
    usual_us = round(scale.to_wall(BUFFER_S) * 1e6)
    return replace(queue, buffer_us=usual_us, buffer_bytes=MIN_BUFFER_FRAMES * FRAME_BYTES)


def track_in_wall_time(track: Track, scale: TimeScale) -> Track:
    """Return a track whose steps last as long by lab hosts' clocks; of several that begin in the same millisecond the
    last one stays."""
    begins = {round(scale.to_wall(at)): step for step, at in enumerate(track.at_ms)}
    steps = list(begins.values())

    def column(values: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
        return None if values is None else tuple(values[step] for step in steps)

    rates, delays = column(track.rate_bps), column(track.delay_us)
    return Track(
        at_ms=tuple(begins),
        length_ms=max(round(scale.to_wall(track.length_ms)), max(begins) + 1),
        rate_bps=None if rates is None else tuple(_whole(scale.rate(rate)) for rate in rates),
        delay_us=None if delays is None else tuple(round(scale.to_wall(delay)) for delay in delays),
        loss=column(track.loss),
    )


def _links(links: Links, scale: TimeScale) -> Links:
    return Links(link_in_wall_time(links.up, scale), link_in_wall_time(links.down, scale))


def _device(device: Device, experiment: Experiment, scale: TimeScale) -> Device:
    limits = device.type
    scaled = replace(
        limits, read_bps=_whole(scale.rate(limits.read_bps)), write_bps=_whole(scale.rate(limits.write_bps))
    )
    return replace(
        device, type=scaled, network=_profile(device, experiment, scale), config=_config(device.config, scale)
    )


def _profile(device: Device, experiment: Experiment, scale: TimeScale) -> NetworkProfile:
    profile, varying = device.network, device.network.varying
    variation = variation_of(device, experiment)
    if varying is not None and variation is not None:
        varying = replace(
            varying,
            planned=_links(varying.planned, scale),
            # Where a device begins is drawn from the trace's length in device time.
            offset_s=scale.to_wall(variation.offset_ms / 1000),
            states=tuple(
                replace(state, links=_links(state.links, scale), dwell_s=scale.to_wall(state.dwell_s))
                for state in varying.states
            ),
        )
    links = _links(profile.links, scale)
    return replace(profile, up=links.up, down=links.down, varying=varying)


def _course(course: CourseLimits, scale: TimeScale) -> CourseLimits:
    return replace(
        course,
        timeout_s=_seconds(scale.to_wall(course.timeout_s)),
        silence_timeout_s=_seconds(scale.to_wall(course.silence_timeout_s)),
        round_deadline_s=None if course.round_deadline_s is None else _seconds(scale.to_wall(course.round_deadline_s)),
    )


def _config(config: Mapping[str, Any], scale: TimeScale) -> dict[str, Any]:
    found, asyn = dict(config), config.get("asyn")
    if isinstance(asyn, Mapping):
        given = {key: asyn[key] for key in _SECONDS_OF_ASYN if asyn.get(key)}
        found["asyn"] = {**asyn, **{key: math.ceil(scale.to_wall(value)) for key, value in given.items()}}
    return found


def _entry(entry: TimelineEntry, scale: TimeScale) -> TimelineEntry:
    return replace(
        entry,
        at_s=None if entry.at_s is None else _seconds(scale.to_wall(entry.at_s)),
        duration_s=None if entry.duration_s is None else _seconds(scale.to_wall(entry.duration_s)),
        up=None if entry.up is None else _change(entry.up, scale),
        down=None if entry.down is None else _change(entry.down, scale),
    )


def _change(change: LinkChange, scale: TimeScale) -> LinkChange:
    return replace(
        change,
        to=None if change.to is None else link_in_wall_time(change.to, scale),
        rate_bps=_whole(scale.rate(change.rate_bps)),
        delay_us=None if change.delay_us is None else round(scale.to_wall(change.delay_us)),
        jitter_us=None if change.jitter_us is None else round(scale.to_wall(change.jitter_us)),
        load_bps=None if change.load_bps is None else round(scale.rate(change.load_bps)),
    )


def _topology(topology: Topology, scale: TimeScale) -> Topology:
    edges = (
        replace(edge, there=link_in_wall_time(edge.there, scale), back=link_in_wall_time(edge.back, scale))
        for edge in topology.edges
    )
    return replace(topology, edges=tuple(edges))


def _whole(rate: float | None) -> Any:
    """A rate as the kernel takes it: whole, and at least one per second."""
    return None if rate is None else max(1, round(rate))


def _seconds(value: float) -> float:
    return round(value, 6)
