"""Which actions on which devices make sense, alone and beside the other events."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from ..catalog.engines import engine_facts
from ..contract.timeline import UNDONE_BY, Action, TimelineEntry
from ..yamlfile.document import Document
from ..yamlfile.spec_errors import PathPart
from .event_entries import EventEntry
from .experiment import Device

#: Actions that need another one before them, and what is missing without.
_NEED: Mapping[Action, tuple[Action, str]] = {
    "heal": ("partition", "is in a partition"),
    "online": ("offline", "is offline"),
    "thaw": ("freeze", "is frozen"),
}
#: What a course does not survive on its server.
_FATAL = ("kill", "restart")


def check_action(
    entry: EventEntry,
    chosen: Sequence[Device],
    devices: Collection[Device],
    at: tuple[PathPart, ...],
    document: Document,
) -> None:
    """Report an action that makes no sense for these devices, whatever else happens.

    ``devices``: all that the experiment has.
    """
    action = entry.action
    if action is None:
        return
    if entry.duration is not None and action not in UNDONE_BY:
        document.report((*at, "duration"), f"means nothing with action: {action}", "remove it")
    server = next((device.name for device in chosen if device.role == "server"), None)
    if action in _FATAL and server is not None:
        document.report(
            (*at, "devices"),
            f"{action} of {server} ends the course: the server keeps the model and all clients in its memory",
            "freeze or offline make it unreachable for a while",
        )
    elif action == "restart" or (action == "kill" and entry.duration is not None):
        engines = [device.engine for device in devices if device.role == "server"]
        engines += [device.engine for device in chosen]
        engine = next((one for one in engines if not engine_facts(one).takes_back), None)
        if engine is not None:
            document.report(
                (*at, "action"),
                f"restarts participants, and with engine: {engine} none of them can take part again",
                "freeze and offline interrupt one; kill without a duration ends it",
            )
    if action == "partition" and chosen and len(chosen) == len(devices):
        document.report((*at, "devices"), "are all devices: nobody is on the other side", "leave some out")


def check_opposites(timeline: Iterable[TimelineEntry], places: Mapping[int, int], document: Document) -> None:
    """Report what can end nothing: a heal of devices that nothing can have parted before, and so on.

    ``places``: the place in the file of each entry's number.
    """
    entries = list(timeline)
    reported: set[int] = set()
    for entry in entries:
        if entry.action is None or entry.action not in _NEED or places[entry.number] in reported:
            continue
        needed, state = _NEED[entry.action]
        before = (other for other in entries if other.action == needed and _may_precede(other, entry))
        if not any(set(other.devices) & set(entry.devices) for other in before):
            reported.add(places[entry.number])
            document.report(
                ("events", places[entry.number], "action"),
                f"has no effect: none of its devices {state} then",
                f"an earlier event with action: {needed} does that",
            )


def check_restarts(timeline: Iterable[TimelineEntry], places: Mapping[int, int], document: Document) -> None:
    """Report restarts of clients that are lost by then: no server takes a client back that it has given up.

    ``places``: the place in the file of each entry's number.
    """
    entries = list(timeline)
    kills = [entry for entry in entries if entry.action == "kill" and entry.duration_s is None]
    reported: set[int] = set()
    for entry in entries:
        place = places[entry.number]
        if entry.action != "restart" or place in reported:
            continue
        lost = {name for kill in kills if _precedes(kill, entry) for name in kill.devices} & set(entry.devices)
        if entry.when is not None and entry.when.state == "lost":
            lost |= {entry.when.device} & set(entry.devices)
        if lost:
            reported.add(place)
            document.report(
                ("events", place, "action"),
                f"{min(lost)} is lost by then, and a server takes no lost client back",
                "give action: kill a duration, after which it is restarted",
            )


def _precedes(one: TimelineEntry, other: TimelineEntry) -> bool:
    """Whether one entry is sure to happen before the other."""
    return (one.at_s is None) == (other.at_s is None) and other.when is None and _may_precede(one, other)


def _may_precede(one: TimelineEntry, other: TimelineEntry) -> bool:
    """Whether one entry may happen before the other; of different kinds of times that is not known."""
    if one.at_s is not None and other.at_s is not None:
        return one.at_s < other.at_s
    if one.round is not None and other.round is not None:
        return one.round < other.round or (one.round == other.round and one.number < other.number)
    return True
