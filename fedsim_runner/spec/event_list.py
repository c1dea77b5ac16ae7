"""The events of an experiment file become the run's timeline; everything wrong with them is reported."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..catalog.suggestions import suggestion
from ..contract.routes import routes_to_server
from ..contract.slow_links import CONNECTS_WITHIN_S, round_trip_s
from ..contract.timeline import TimelineEntry, links_with
from ..contract.topology import Topology
from ..yamlfile.document import Document
from ..yamlfile.spec_errors import PathPart
from .definitions import Choices
from .device_selectors import ALL, DeviceSelectors
from .event_actions import check_action, check_opposites, check_restarts
from .event_entries import EVENTS_MAX, EventEntry
from .event_links import load_change, network_change
from .event_moments import KINDS, Course, moments_of
from .experiment import Device

CHANGES = ("network", "action", "load_kbps")
AT = "events"


def build_timeline(
    entries: Sequence[EventEntry | None],
    devices: Sequence[Device],
    selectors: DeviceSelectors | None,
    choices: Choices,
    course: Course,
    topology: Topology | None,
    document: Document,
) -> tuple[TimelineEntry, ...]:
    """Build the timeline in the order of the file.

    Args:
        entries: the events; None: invalid, which has been reported. Of those with invalid keys only the rest is there.
        devices: of the experiment.
        selectors: what their names stand for; None: not known, as the list of devices is wrong.
        choices: network profiles.
        course: what limits moments.
        topology: what lies between the devices.
        document: the experiment file.
    """
    timeline: list[TimelineEntry] = []
    by_name = {device.name: device for device in devices}
    places: dict[int, int] = {}  # an entry's number -> its place in the file
    for place, entry in enumerate(entries):
        if entry is None:
            continue
        at: tuple[PathPart, ...] = (AT, place)
        _check_one_of(entry, KINDS, "time", at, document)
        _check_one_of(entry, CHANGES, "change", at, document)
        chosen = _select(entry, selectors, at, document)
        changed = _change(entry, [by_name[name] for name in chosen], by_name, at, choices, document)
        moments = moments_of(entry, place, chosen, course, document)
        if changed is None or not chosen:
            continue
        for moment in moments:
            number = len(timeline) + 1
            places[number] = place
            timeline.append(
                replace(
                    changed,
                    number=number,
                    devices=moment.devices,
                    at_s=moment.at_s,
                    round=moment.round,
                    when=moment.when,
                    duration_s=None if entry.duration is None else float(entry.duration),
                )
            )
    if len(timeline) > EVENTS_MAX:
        document.report((AT,), f"{len(timeline)} events are more than {EVENTS_MAX}")
    if not any(error.path.startswith(AT) for error in document.errors):
        check_opposites(timeline, places, document)
        check_restarts(timeline, places, document)
        _check_round_trips(timeline, places, by_name, course.server, topology, document)
    return tuple(timeline)


def _check_one_of(
    entry: EventEntry, keys: Sequence[str], what: str, at: tuple[PathPart, ...], document: Document
) -> None:
    """Report an event with none or several of these keys; what is there but invalid counts, and has been reported."""
    given = [key for key in keys if getattr(entry, key) is not None or document.get((*at, key)) is not None]
    choice = f"{', '.join(keys[:-1])} or {keys[-1]}"
    if len(given) > 1:
        document.report(at, f"has {len(given)} {what}s: {' and '.join(given)}", "write one event for each")
    elif not given:
        document.report(at, "has no time" if what == "time" else "has nothing to do", f"give {choice}")


def _select(
    entry: EventEntry, selectors: DeviceSelectors | None, at: tuple[PathPart, ...], document: Document
) -> tuple[str, ...]:
    """The names of the event's devices."""
    here: tuple[PathPart, ...] = (*at, "devices")
    if not entry.devices and not document.errors_at(here):
        document.report(here, "is for nobody", f"name devices, types, regions or {ALL}")
    if selectors is None:
        return ()
    for number, selector in enumerate(entry.devices):
        if not selectors.known(selector):
            path = (*here, number) if isinstance(document.get(here), list) else here
            message = f'"{selector}" is no device, nor the type or region of one'
            document.report(path, message, suggestion(selector, selectors.names))
    return selectors.select(entry.devices)


def _change(
    entry: EventEntry,
    chosen: Sequence[Device],
    by_name: dict[str, Device],
    at: tuple[PathPart, ...],
    choices: Choices,
    document: Document,
) -> TimelineEntry | None:
    """What the event does, as an entry without number and time; None: it is wrong, or there is nothing."""
    blank = TimelineEntry(number=0, devices=())
    if entry.action is not None:
        check_action(entry, chosen, by_name.values(), at, document)
        return replace(blank, action=entry.action)
    if entry.network is not None:
        change = network_change(entry.network, chosen, (*at, "network"), choices, document)
    elif entry.load_kbps is not None:
        change = load_change(entry.load_kbps, chosen, (*at, "load_kbps"), document)
    else:
        return None
    if change is None:
        return None
    up, down, profile = change
    return replace(blank, up=up, down=down, profile=profile)


def _check_round_trips(
    timeline: Sequence[TimelineEntry],
    places: dict[int, int],
    by_name: dict[str, Device],
    server: str | None,
    topology: Topology | None,
    document: Document,
) -> None:
    """Report links with which no kernel connects to the server, because the answers come too late."""
    reported: set[int] = set()
    for entry in timeline:
        place = places[entry.number]
        if server is None or place in reported or (entry.up is None and entry.down is None):
            continue
        slowest = max(_round_trips(entry, by_name, server, topology), default=0.0)
        if slowest >= CONNECTS_WITHIN_S:
            reported.add(place)
            document.report(
                (AT, place, "network"),
                f"a round trip to the server takes {slowest:g} s then, so nothing connects: a kernel forgets a "
                "connection that is not confirmed within a minute",
                f"latencies on the way, there and back, must be below {CONNECTS_WITHIN_S * 1000:g} ms together",
            )


def _round_trips(
    entry: TimelineEntry, by_name: dict[str, Device], server: str, topology: Topology | None
) -> Iterator[float]:
    links = {name: device.network.links for name, device in by_name.items()}
    links |= {name: links_with(links[name], [entry]) for name in entry.devices}
    for name, route in routes_to_server(server, links, topology).items():
        if {name, server, *route.sites} & set(entry.devices):
            yield round_trip_s(route)
