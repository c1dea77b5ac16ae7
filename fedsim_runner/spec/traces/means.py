"""What a link that varies is on average, weighted with time. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ...catalog.types import NetworkProfile, Varying
from ...contract.link import Link, Links
from ...contract.link_variation import Track, Variation, Way, links_of
from ..experiment import Device


@dataclass(frozen=True)
class Range:
    """A rate over the time of a trace, or of states: in bit/s, the median weighted with time."""

    lowest_bps: int
    median_bps: int
    highest_bps: int


def mean_links(varying: Varying, tracks: Mapping[str, Track]) -> Links:
    """The mean of each value over the trace, or over the states with their shares of time.

    A rate that is not limited in any state is not limited. Loss is the mean over time, not over packets.
    """
    return Links(
        _mean(*_parts(varying, "up", tracks)),
        _mean(*_parts(varying, "down", tracks)),
    )


def rate_range(varying: Varying, way: Way, tracks: Mapping[str, Track]) -> Range | None:
    """The rates of a direction; None: it is not limited all the time, or its rate does not vary."""
    links, weights = _parts(varying, way, tracks)
    rates = [link.rate_bps for link in links if link.rate_bps is not None]
    if len(rates) < len(links) or len(set(rates)) < 2:
        return None
    return Range(min(rates), _median(rates, weights), max(rates))


def links_during(network: NetworkProfile, tracks: Mapping[str, Track]) -> list[Links]:
    """Links that stand for all that a profile's may be; one, if it does not vary."""
    varying = network.varying
    variation = None
    if varying is not None:
        variation = Variation(planned=varying.planned, up=varying.up, down=varying.down, states=varying.states)
    return links_of(network.links, variation, tracks)


def played_ms(varying: Varying, track: Track) -> list[float]:
    """For how long each step of a track holds, in milliseconds, until the track ends for the first time.

    Where it begins again, or the seed says where it begins, that is all of it, else what comes after the offset; of the
    shorter one of two tracks, that may be over by then, the last step.
    """
    lasts = [float(ms) for ms in track.lasts_ms()]
    if varying.loop or not varying.offset_s:
        return lasts
    begins_ms = min(varying.offset_s * 1000, track.length_ms - 1)
    return [min(ms, max(0.0, at_ms + ms - begins_ms)) for at_ms, ms in zip(track.at_ms, lasts, strict=True)]


def used_tracks(devices: Iterable[Device], tracks: Mapping[str, Track]) -> dict[str, Track]:
    """Those of the tracks that links of devices follow, by name."""
    names = {name for one in devices if (of := one.network.varying) is not None for name in (of.up, of.down)}
    return {name: tracks[name] for name in sorted(filter(None, names))}


def _parts(varying: Varying, way: Way, tracks: Mapping[str, Track]) -> tuple[list[Link], list[float]]:
    """What a direction is, and for how much of the time."""
    planned = getattr(varying.planned, way)
    if varying.states:
        return [getattr(one.links, way) for one in varying.states], [one.dwell_s for one in varying.states]
    name = getattr(varying, way)
    if name is None:
        return [planned], [1.0]
    played = {step: ms for step, ms in enumerate(played_ms(varying, tracks[name])) if ms > 0}
    return [tracks[name].link(step, planned) for step in played], list(played.values())


def _mean(links: Sequence[Link], weights: Sequence[float]) -> Link:
    total = sum(weights)

    def mean(values: Sequence[float]) -> float:
        return sum(value * weight for value, weight in zip(values, weights, strict=True)) / total

    rates = [link.rate_bps for link in links if link.rate_bps is not None]
    # Means are estimates: whole kbit/s and tenths of a millisecond are easier to read.
    delay_us = _rounded(mean([link.delay_us for link in links]), 100)
    return replace(
        links[0],
        rate_bps=max(1000, _rounded(mean(rates), 1000)) if len(rates) == len(links) else None,
        delay_us=delay_us,
        jitter_us=min(_rounded(mean([link.jitter_us for link in links]), 100), delay_us),
        loss=round(mean([link.loss for link in links]), 9),
        bursts=links[0].bursts if len({link.bursts for link in links}) == 1 else None,
    )


def _rounded(value: float, unit: int) -> int:
    return round(value / unit) * unit


def _median(values: Sequence[int], weights: Sequence[float]) -> int:
    left = sum(weights) / 2
    for value, weight in sorted(zip(values, weights, strict=True)):
        left -= weight
        if left <= 0:
            return value
    return max(values)
