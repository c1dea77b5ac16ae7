"""What a run's timeline makes of its course, and what no agent can see in time. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence

from ..contract import units
from ..contract.link import Link, Links
from ..contract.time_scale import REAL_TIME, TimeScale
from ..contract.timeline import LEAST_RATE_BPS, TimelineEntry, covers, describe_time, links_with
from ..spec.experiment import Experiment
from .model import PlacedDevice
from .names import join_names
from .placement_error import PlacementError
from .varying_links import LONG_QUEUE_S, empties_s, keep_old_rate

#: Actions with which a participant reports nothing any longer, and the one that ends each.
_SILENT = {"freeze": "thaw", "partition": "heal"}


def describe_timeline(experiment: Experiment, scale: TimeScale = REAL_TIME) -> Iterator[str]:
    """Notes on events that leave nothing of a link, that queues outlast, or that cost clients.

    Args:
        experiment: in device time.
        scale: how device time and wall time are related.
    """
    yield from _fully_loaded(experiment, math.ceil(scale.device_rate(LEAST_RATE_BPS)))
    yield from _outlasted(experiment)
    events = [entry for entry in experiment.timeline if not entry.of_availability]
    for entry in events:
        clients = [name for name in entry.devices if name != experiment.server.name]
        if not clients:
            continue
        if entry.action == "kill" and entry.duration_s is None and experiment.course.on_client_failure == "abort":
            yield (
                f"event {entry.number} ({describe_time(entry)}) kills {join_names(clients)}: with on_client_failure: "
                "abort that ends the course"
            )
        patience = experiment.course.silence_timeout_s
        if entry.action not in _SILENT:
            continue
        lasts = {name: _lasts_s(entry, name, events) for name in clients}
        silent = [name for name in clients if lasts[name] >= patience]
        if silent:
            longest = max(lasts[name] for name in silent)
            shown = "until the end" if longest == math.inf else f"for {longest:g} s"
            yield (
                f"event {entry.number} ({entry.action} {shown}): {join_names(silent)} will be given up after "
                f"{patience:g} s of silence (course.silence_timeout)"
            )


def _lasts_s(entry: TimelineEntry, name: str, events: Sequence[TimelineEntry]) -> float:
    """For how long such an action holds for a device, in seconds; 0 if that depends on how the course goes."""
    own = math.inf if entry.duration_s is None else entry.duration_s
    undone = _SILENT[entry.action or ""]
    for one in events:
        if one.action == undone and name in one.devices:
            if one.at_s is None or entry.at_s is None:
                return 0.0
            if one.at_s > entry.at_s:
                own = min(own, one.at_s - entry.at_s)
    return own


def refuse_unseen(timeline: Sequence[TimelineEntry], placed: Sequence[PlacedDevice], server: str) -> None:
    """Refuse events for devices of a lab host whose agent learns nothing of their moment.

    Raises:
        PlacementError: a round or a device's state is known on another lab host only.
    """
    where = {item.device.name: item.lab_host for item in placed}
    for entry in timeline:
        seen_on = where[entry.when.device if entry.when is not None else server]
        far = [name for name in entry.devices if where[name] != seen_on]
        if entry.at_s is None and far:
            raise PlacementError(
                f"event {entry.number} ({describe_time(entry)}) is for {join_names(far)} on lab host {where[far[0]]}, "
                f"and only the agent of {seen_on} learns of that moment: give it a time with at, or use one lab host"
            )


def _fully_loaded(experiment: Experiment, least_bps: int) -> Iterator[str]:
    """Name events at a time whose other traffic is more than the rate that earlier ones leave; ``least_bps``: what a
    link then still has, in device time."""
    by_name = {device.name: device for device in experiment.devices}
    in_force: defaultdict[str, list[TimelineEntry]] = defaultdict(list)
    timed = ((entry.at_s, entry) for entry in experiment.timeline if entry.at_s is not None and entry.action is None)
    for at_s, entry in sorted(timed, key=lambda one: one[0]):
        loads = any(change.load_bps for change in (entry.up, entry.down) if change is not None)
        named = False
        for name in entry.devices:
            before = [one for one in in_force[name] if not _is_over(one, at_s) and not covers(entry, one)]
            in_force[name] = [*before, entry]
            if named or not loads:
                continue
            links = links_with(by_name[name].network.links, in_force[name], least_bps)
            if least_bps in (links.up.rate_bps, links.down.rate_bps):
                named = True
                yield (
                    f"event {entry.number} ({describe_time(entry)}): other traffic leaves {name} only "
                    f"{units.rate(least_bps)}, as an earlier event has changed its rate"
                )


def _is_over(entry: TimelineEntry, at_s: float) -> bool:
    return entry.at_s is not None and entry.duration_s is not None and entry.at_s + entry.duration_s <= at_s


def _outlasted(experiment: Experiment) -> Iterator[str]:
    """Name events that raise the rate of a link whose queue, full at the lower rate, takes long to empty."""
    keeping = keep_old_rate(experiment)
    by_name = {device.name: device.network.links for device in experiment.devices}
    named: list[str] = []
    long: list[tuple[float, str]] = []
    for entry in experiment.timeline if keeping else ():
        slow = [(link, name) for name in entry.devices for link in _raised_from(by_name[name], entry)]
        if found := [(empties_s(link), name) for link, name in slow if empties_s(link) > LONG_QUEUE_S]:
            named.append(f"event {entry.number} ({describe_time(entry)})")
            long += found
    if long:
        yield (
            f"{join_names(named)}: with back end {join_names(keeping)}, what waits when the rate of "
            f"{join_names(sorted({name for _, name in long}))} rises still leaves at the old one, which takes a full "
            f"queue {max(long)[0]:.2g} s"
        )


def _raised_from(planned: Links, entry: TimelineEntry) -> Iterator[Link]:
    """The directions of a link as they are before the beginning or the end of an entry gives them a higher rate."""
    during = links_with(planned, [entry])
    for before, after in ((planned.up, during.up), (planned.down, during.down)):
        if before.rate_bps is not None and (after.rate_bps is None or after.rate_bps > before.rate_bps):
            yield before
        elif after.rate_bps is not None and before.rate_bps != after.rate_bps and entry.duration_s is not None:
            yield after
