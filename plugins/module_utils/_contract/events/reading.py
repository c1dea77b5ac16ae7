"""Events from plain data and from a journal's lines."""

from __future__ import annotations

import json
from collections.abc import Mapping

from .. import lenient
from ..event import Event, UnknownEvent

#: Names that journals of earlier versions have, and today's.
FORMER_NAMES = {"link_mended": "link_restored"}


def parse(value: object, lab_host: str | None = None) -> Event | None:
    """Return the event in plain data; None if there is none.

    ``lab_host``: whose journal it is from, used if the event does not name it.
    """
    if not isinstance(value, Mapping) or not isinstance(value.get("event"), str):
        return None
    t, lab_host = lenient.number(value.get("t")), lenient.name(value.get("lab_host")) or lab_host
    name = value["event"]
    kind = Event.known.get(name) or Event.known.get(FORMER_NAMES.get(name, ""))
    if kind is None:
        rest = {str(key): item for key, item in value.items() if key not in ("t", "event", "lab_host")}
        return UnknownEvent(name, rest, t=t, lab_host=lab_host)
    return kind.read(value, t, lab_host)


def parse_line(line: str, lab_host: str | None = None) -> Event | None:
    """Return the event in a line of a journal; None if there is none, for example in a line cut short by a crash."""
    try:
        return parse(json.loads(line), lab_host)
    except (ValueError, RecursionError):
        return None
