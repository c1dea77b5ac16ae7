"""What an event of the experiment file changes of links, in the units of the agents."""

from __future__ import annotations

from collections.abc import Sequence

from ..catalog.entries import DirectionEntry, ProfileEntry
from ..catalog.resolve import KILO, resolve_profile
from ..catalog.suggestions import suggestion
from ..catalog.types import NetworkProfile
from ..contract import units
from ..contract.timeline import LEAST_RATE_BPS, LinkChange
from ..yamlfile.document import Document
from ..yamlfile.spec_errors import PathPart
from .definitions import Choices
from .event_entries import LoadEntry
from .experiment import Device

#: Keys of a link whose values change one by one, and those that hold or describe them.
_CHANGEABLE = frozenset(
    {"bandwidth_up_kbps", "bandwidth_down_kbps", "bandwidth_kbps", "latency_ms", "jitter_ms", "packet_loss_rate"}
    | {"up", "down", "description", "source"}
)

_VARY = ("trace", "states", "dwell_s")
_AT_DEVICES = "a trace and states are for devices, from the beginning of the course on"

Changes = tuple[LinkChange | None, LinkChange | None, str | None]  # up, down, and the profile that they are


def network_change(
    network: str | ProfileEntry,
    devices: Sequence[Device],
    at: tuple[PathPart, ...],
    choices: Choices,
    document: Document,
) -> Changes | None:
    """The changes of ``network``; None: it is wrong, which is reported at ``at`` unless it has been already."""
    name = network if isinstance(network, str) else network.based_on
    base: NetworkProfile | None = None
    if name is not None:
        if name not in choices.profiles:
            path = at if isinstance(network, str) else (*at, "based_on")
            document.report(path, f'there is no network profile "{name}"', suggestion(name, list(choices.profiles)))
            return None
        base = choices.profiles[name]
        if base is None:
            return None
        if base.varying is not None:
            path = at if isinstance(network, str) else (*at, "based_on")
            document.report(path, f"{name} varies by itself, and an event sets values that stay", _AT_DEVICES)
            return None
    if isinstance(network, ProfileEntry) and (key := next(filter(network.model_fields_set.__contains__, _VARY), None)):
        document.report((*at, key), "makes a link vary by itself, and an event sets values that stay", _AT_DEVICES)
        return None
    if isinstance(network, str):
        assert base is not None
        return LinkChange(base.up), LinkChange(base.down), network
    # Values alone have to fit those of each device that stay.
    problems = {
        problem
        for under in ([base] if base is not None else {device.network: None for device in devices})
        for problem in resolve_profile("event", network, under)[1]
    }
    for problem in sorted(problems, key=lambda one: (one.path, one.message)):
        document.report((*at, *problem.path), problem.message, problem.hint)
    if problems:
        return None
    if base is not None:
        profile, _ = resolve_profile("event", network, base)
        return LinkChange(profile.up), LinkChange(profile.down), None
    if (other := _unchangeable(network)) is not None:
        document.report((*at, *other), "cannot be changed alone during a course", "name a profile, or add based_on")
        return None
    up = _given(network, network.up or DirectionEntry(), network.bandwidth_up_kbps)
    return up, _given(network, network.down or DirectionEntry(), network.bandwidth_down_kbps), None


def load_change(
    load: float | LoadEntry, devices: Sequence[Device], at: tuple[PathPart, ...], document: Document
) -> Changes | None:
    """The changes of ``load_kbps``; None: it is wrong, which is reported at ``at``."""
    if not isinstance(load, LoadEntry):
        load = LoadEntry(up=load, down=load)
    if load.up is None and load.down is None:
        document.report(at, "says nothing about the link", "give up, down or both")
        return None
    sound = True
    for way, kbps in (("up", load.up), ("down", load.down)):
        if not kbps:
            continue
        rates = {
            device.name: (device.network.up if way == "up" else device.network.down).rate_bps for device in devices
        }
        slow = next((name for name, rate in rates.items() if rate and rate - kbps * KILO < LEAST_RATE_BPS), None)
        free = next((name for name, rate in rates.items() if rate is None), None)
        if slow is not None:
            have = units.rate(rates[slow] or 0)
            document.report(
                at,
                f"leaves nothing of the {way}link of {slow}, whose rate is {have}",
                "1 kbit/s has to be left; action: offline cuts the link",
            )
        elif free is not None:
            document.report(
                at, f"takes nothing from the {way}link of {free}, whose rate is not limited", "give it a rate"
            )
        sound = sound and slow is None and free is None
    return (_load(load.up), _load(load.down), None) if sound else None


def _load(kbps: float | None) -> LinkChange | None:
    return None if kbps is None else LinkChange(load_bps=round(kbps * KILO))


def _unchangeable(network: ProfileEntry) -> tuple[str, ...] | None:
    """The first value that is none of those which an event changes one by one."""
    for path, entry in (((), network), (("up",), network.up), (("down",), network.down)):
        if entry is not None:
            for key in entry.model_dump(exclude_none=True):
                if key not in _CHANGEABLE:
                    return (*path, key)
    return None


def _given(network: ProfileEntry, own: DirectionEntry, rate_kbps: float | None) -> LinkChange | None:
    """The values of one direction that are given, those of the direction itself first."""
    rate_kbps = rate_kbps if own.bandwidth_kbps is None else own.bandwidth_kbps
    delay_ms = network.latency_ms if own.latency_ms is None else own.latency_ms
    jitter_ms = network.jitter_ms if own.jitter_ms is None else own.jitter_ms
    loss = network.packet_loss_rate if own.packet_loss_rate is None else own.packet_loss_rate
    change = LinkChange(None, _whole_number(rate_kbps), _whole_number(delay_ms), _whole_number(jitter_ms), loss)
    return None if change == LinkChange() else change


def _whole_number(value: float | None) -> int | None:
    """Kilobits as bits, milliseconds as microseconds."""
    return None if value is None else round(value * KILO)
