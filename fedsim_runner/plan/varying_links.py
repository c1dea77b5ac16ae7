"""Links that vary during the course: what each device's is at its beginning, and what to say of them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..agent.links import backends
from ..catalog.types import Varying
from ..contract.link import Link, Links
from ..contract.link_variation import WAYS, Track, Variation, Way, course_of, random_offset_ms
from ..contract.queue_size import buffer_bytes
from ..contract.units import duration, rate
from ..spec.experiment import Device, Experiment
from ..spec.traces.means import links_during, played_ms, rate_range
from .model import PlacedDevice
from .names import join_names

#: A full queue that takes longer to empty than this at the lowest rate still holds packets when the rate has risen.
LONG_QUEUE_S = 1.0


def variation_of(device: Device, experiment: Experiment) -> Variation | None:
    """How a device's link varies, with what the seed determines; None: it does not."""
    varying = device.network.varying
    if varying is None:
        return None
    offset_ms = 0 if varying.offset_s is None else round(varying.offset_s * 1000)
    if varying.offset_s is None:
        lengths = [experiment.tracks[name].length_ms for name in (varying.up, varying.down) if name is not None]
        offset_ms = random_offset_ms(max(lengths), experiment.seed, device.name)
    return Variation(
        planned=varying.planned,
        up=varying.up,
        down=varying.down,
        loop=varying.loop,
        offset_ms=offset_ms,
        states=varying.states,
    )


def first_links(device: Device, experiment: Experiment) -> Links:
    """A device's link when the gate opens."""
    variation = variation_of(device, experiment)
    if variation is None:
        return device.network.links
    return course_of(variation, experiment.tracks, experiment.seed, device.name).at(0.0)[0]


def describe_varying_links(experiment: Experiment, placed: Sequence[PlacedDevice]) -> Iterator[str]:
    """Yield a note for all devices whose links vary alike, and one if queues outlast the lowest rates."""
    groups: dict[tuple[str, str], list[str]] = {}
    long: list[str] = []
    for item in placed:
        varying = item.device.network.varying
        if varying is None:
            continue
        key = (_describe_how(item.device, experiment.tracks), _describe_rates(item.device, experiment.tracks))
        groups.setdefault(key, []).append(item.device.name)
        if any(empties_s(link) > LONG_QUEUE_S for link in _all_links(item.device, experiment.tracks)):
            long.append(item.device.name)
    for (how, rates), names in groups.items():
        yield f"{join_names(names)}: the link {how}{rates}; tables and times here are based on its means"
    if long and (keeping := keep_old_rate(experiment)):
        yield (
            f"{join_names(long)}: at the lowest rate a full queue takes more than {LONG_QUEUE_S:g} s to empty, and "
            f"with back end {join_names(keeping)}, what is in it when the rate rises still leaves at the old one"
        )


def keep_old_rate(experiment: Experiment) -> list[str]:
    """The back ends, of those that may shape the links, with which what waits when a rate changes leaves at the old."""
    allowed = [one for one in backends.load_all() if experiment.link_backend in (backends.AUTO, one.name)]
    return [backend.name for backend in allowed if not backend.reschedules]


def empties_s(link: Link) -> float:
    """Seconds that a link's full queue takes to empty."""
    return 0.0 if link.rate_bps is None else buffer_bytes(link.rate_bps, link.queue) * 8 / link.rate_bps


def varying_as_dict(device: Device, experiment: Experiment) -> dict[str, Any] | None:
    """How a device's link varies, as JSON data for the plan; None: it does not."""
    variation = variation_of(device, experiment)
    if device.network.varying is None or variation is None:
        return None
    rates = {way: rate_range(device.network.varying, way, experiment.tracks) for way in WAYS}
    return {
        "states": {state.name: state.dwell_s for state in variation.states},
        "tracks": {way: getattr(variation, way) for way in WAYS},
        "loop": variation.loop,
        "offset_s": variation.offset_ms / 1000,
        "rates_bps": {
            way: None if found is None else [found.lowest_bps, found.median_bps, found.highest_bps]
            for way, found in rates.items()
        },
        "begins": {way: getattr(first_links(device, experiment), way).as_dict() for way in WAYS},
    }


def _describe_how(device: Device, tracks: Mapping[str, Track]) -> str:
    varying = device.network.varying
    assert varying is not None
    if varying.states:
        shares = sum(state.dwell_s for state in varying.states)
        states = ", ".join(f"{state.name} {state.dwell_s / shares:.0%}" for state in varying.states)
        return f"moves between states ({states} of the time)"
    ways = {way: name for way in WAYS if (name := getattr(varying, way)) is not None}
    lengths = sorted({tracks[name].length_ms for name in ways.values()})
    length = " and ".join(dict.fromkeys(_length(ms) for ms in lengths))
    where = "" if len(ways) == len(WAYS) else f" ({next(iter(ways))} only)"
    end = "again and again" if varying.loop else "once"
    start = "from anywhere in it" if varying.offset_s is None else f"from {varying.offset_s:g} s on"
    then = "" if varying.loop else ", and then keeps its last values"
    return f"follows a trace of {length}{where} {end}, {start}{then}"


def _length(ms: int) -> str:
    return f"{ms} ms" if ms < 1000 else f"{ms / 1000:.3g} s" if ms < 10_000 else duration(ms / 1000)


def _describe_rates(device: Device, tracks: Mapping[str, Track]) -> str:
    varying = device.network.varying
    assert varying is not None
    found = {way: rate_range(varying, way, tracks) for way in WAYS}
    parts = [
        f"{way} {_short(one.lowest_bps)} to {_short(one.highest_bps)}, median {_short(one.median_bps)}"
        for way, one in found.items()
        if one is not None
    ]
    cut = {way: share for way in WAYS if (share := _cut_share(varying, way, tracks))}
    if cut:
        parts.append(f"nothing passes {' and '.join(f'{way} {share:.0%}' for way, share in cut.items())} of the time")
    return f" ({'; '.join(parts)})" if parts else ""


def _cut_share(varying: Varying, way: Way, tracks: Mapping[str, Track]) -> float:
    """For which share of a track's time all is lost."""
    name = getattr(varying, way)
    if name is None or (losses := tracks[name].loss) is None:
        return 0.0
    lasts = played_ms(varying, tracks[name])
    return sum(ms for ms, loss in zip(lasts, losses, strict=True) if loss == 1) / sum(lasts)


def _all_links(device: Device, tracks: Mapping[str, Track]) -> list[Link]:
    return [link for links in links_during(device.network, tracks) for link in (links.up, links.down)]


def _short(bps: int) -> str:
    return rate(float(f"{bps:.3g}"))
