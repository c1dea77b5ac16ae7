"""What a run's timeline makes of its course, and what no agent can see in time. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..contract import units
from ..contract.timeline import LEAST_RATE_BPS, TimelineEntry, describe_time, links_with
from ..spec.experiment import Experiment
from .model import PlacedDevice
from .names import join_names
from .placement_error import PlacementError

#: Actions with which a participant reports nothing any longer, and the one that ends each.
_SILENT = {"freeze": "thaw", "partition": "heal"}


def describe_timeline(experiment: Experiment) -> Iterator[str]:
    """Notes on events that leave nothing of a link, or cost clients."""
    yield from _fully_loaded(experiment)
    events = [entry for entry in experiment.timeline if not entry.of_availability]
    for entry in events:
        clients = [name for name in entry.devices if name != experiment.server.name]
        others = [other for other in events if set(other.devices) & set(clients)]
        if not clients:
            continue
        if entry.action == "kill" and entry.duration_s is None and experiment.course.on_client_failure == "abort":
            yield (
                f"event {entry.number} ({describe_time(entry)}) kills {join_names(clients)}: with on_client_failure: "
                "abort that ends the course"
            )
        undone = _SILENT.get(entry.action or "")
        patience = experiment.course.silence_timeout_s
        if undone is None or any(other.action == undone for other in others):
            continue
        if entry.duration_s is None or entry.duration_s >= patience:
            lasts = "until the end" if entry.duration_s is None else f"for {entry.duration_s:g} s"
            yield (
                f"event {entry.number} ({entry.action} {lasts}): clients are given up after {patience:g} s of silence "
                "(course.silence_timeout)"
            )


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


def _fully_loaded(experiment: Experiment) -> Iterator[str]:
    """Name events at a time whose other traffic is more than the rate that earlier ones leave."""
    by_name = {device.name: device for device in experiment.devices}
    timed = sorted((entry for entry in experiment.timeline if entry.at_s is not None), key=lambda one: one.at_s or 0.0)
    for entry in timed:
        loads = [change.load_bps for change in (entry.up, entry.down) if change is not None and change.load_bps]
        if not loads:
            continue
        for name in entry.devices:
            before = [other for other in timed if name in other.devices and _in_force(other, entry)]
            links = links_with(by_name[name].network.links, [*before, entry])
            if LEAST_RATE_BPS in (links.up.rate_bps, links.down.rate_bps):
                yield (
                    f"event {entry.number} ({describe_time(entry)}): other traffic leaves {name} only "
                    f"{units.rate(LEAST_RATE_BPS)}, as an earlier event has changed its rate"
                )
                break


def _in_force(other: TimelineEntry, entry: TimelineEntry) -> bool:
    """Whether another entry has begun before this one and is not over."""
    if other is entry or other.at_s is None or entry.at_s is None or other.at_s > entry.at_s:
        return False
    return other.duration_s is None or other.at_s + other.duration_s > entry.at_s
