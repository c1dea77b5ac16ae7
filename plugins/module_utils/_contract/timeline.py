"""What happens to devices and their links during a course: the timeline of a run, as the plan makes it for the agents.

An entry is in force from its time on; with a duration, until that is over, else until the end of the course. A link is,
at any moment, the planned one with the changes in force applied in the order in which they began (:func:`links_with`).
So an entry that ends takes back its own changes only, and what another one has set since then stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Final, Literal

from . import units
from .link import Link, Links
from .time_scale import TimeScale
from .typed_json import OMIT_DEFAULT

#: What is left of a link, in bit/s, however much other traffic it carries: the least rate of an experiment file.
LEAST_RATE_BPS: Final = 1000

State = Literal["joined", "training", "lost", "finished"]
Action = Literal["partition", "heal", "offline", "online", "kill", "freeze", "thaw", "restart"]

#: What takes back an action: done when its duration is over.
UNDONE_BY: Final[dict[str, Action]] = {
    "partition": "heal",
    "offline": "online",
    "freeze": "thaw",
    "kill": "restart",
}

_STATES: Final = {"joined": "has joined", "training": "begins to train", "lost": "is lost", "finished": "has finished"}


@dataclass(frozen=True)
class When:
    """The first moment after the opening of the gate at which the agent learns that a device is in this state."""

    device: str
    state: State


@dataclass(frozen=True)
class LinkChange:
    """New values of one direction of a link, in the units of :class:`~.link.Link`; None: as it is.

    Attributes:
        to: the whole direction is this one, in place of single values; other traffic stays.
        load_bps: other traffic that takes this much of the rate; 0: none.
    """

    to: Link | None = field(default=None, metadata=OMIT_DEFAULT)
    rate_bps: int | None = field(default=None, metadata=OMIT_DEFAULT)
    delay_us: int | None = field(default=None, metadata=OMIT_DEFAULT)
    jitter_us: int | None = field(default=None, metadata=OMIT_DEFAULT)
    loss: float | None = field(default=None, metadata=OMIT_DEFAULT)
    load_bps: int | None = field(default=None, metadata=OMIT_DEFAULT)


@dataclass(frozen=True, kw_only=True)
class TimelineEntry:
    """Something that happens once. It has one of ``at_s``, ``round`` and ``when``, and an action or a link change.

    Attributes:
        number: from 1, in the order of the experiment file; unique in a run.
        devices: names, in the order of the plan; of the whole run, so also those of other lab hosts.
        at_s: seconds after the gate opened.
        round: at the start of this round, from 1.
        action: partition: nothing passes between these devices and all others, but among themselves it does. heal:
            the partitions that these devices are in end for them. offline: nothing passes to or from any of them;
            their participants run on, and silence loses none of them until online. kill: SIGKILL to the participant.
            freeze: its processes stop until thaw. restart: a participant that has ended, or still runs, starts anew.
        profile: the network profile that ``up`` and ``down`` are the values of, for people.
        duration_s: seconds after which it is taken back: an action by the one in :data:`UNDONE_BY`.
        of_availability: it comes of a device's ``available``, and not of ``events``.
    """

    number: int
    devices: tuple[str, ...]
    at_s: float | None = field(default=None, metadata=OMIT_DEFAULT)
    round: int | None = field(default=None, metadata=OMIT_DEFAULT)
    when: When | None = field(default=None, metadata=OMIT_DEFAULT)
    action: Action | None = field(default=None, metadata=OMIT_DEFAULT)
    up: LinkChange | None = field(default=None, metadata=OMIT_DEFAULT)
    down: LinkChange | None = field(default=None, metadata=OMIT_DEFAULT)
    profile: str | None = field(default=None, metadata=OMIT_DEFAULT)
    duration_s: float | None = field(default=None, metadata=OMIT_DEFAULT)
    of_availability: bool = field(default=False, metadata=OMIT_DEFAULT)


def covers(later: TimelineEntry, earlier: TimelineEntry) -> bool:
    """Whether nothing is left of an earlier change of a link, now and for good, for devices that both are for.

    So it is where the later one stays until the end and gives each value that the earlier one gives. A link for which a
    course has thousands of events is then computed from a few.
    """
    if later.duration_s is not None or later.action is not None or earlier.action is not None:
        return False
    return all(_covers(new, old) for new, old in ((later.up, earlier.up), (later.down, earlier.down)))


def _covers(new: LinkChange | None, old: LinkChange | None) -> bool:
    if old is None or new is None:
        return old is None
    given = {one.name for one in fields(old) if getattr(old, one.name) is not None}
    replaced = {one.name for one in fields(new) if getattr(new, one.name) is not None}
    if new.to is not None:
        replaced |= {one.name for one in fields(new)} - {"load_bps"}
    return given <= replaced


def links_with(planned: Links, entries: Iterable[TimelineEntry], least_bps: int = LEAST_RATE_BPS) -> Links:
    """The link of a device while these entries are in force for it, in the order in which they began.

    Other traffic is a fluid: of the rate, so much less is left, but at least ``least_bps``; a direction whose rate is
    not limited carries any traffic beside it. Jitter is at most the delay.
    """
    changes = [(one.up or LinkChange(), one.down or LinkChange()) for one in entries]
    return Links(
        _direction_with(planned.up, [up for up, _ in changes], least_bps),
        _direction_with(planned.down, [down for _, down in changes], least_bps),
    )


def _direction_with(link: Link, changes: Iterable[LinkChange], least_bps: int) -> Link:
    load_bps = 0
    for one in changes:
        link = one.to or replace(
            link,
            rate_bps=link.rate_bps if one.rate_bps is None else one.rate_bps,
            delay_us=link.delay_us if one.delay_us is None else one.delay_us,
            jitter_us=link.jitter_us if one.jitter_us is None else one.jitter_us,
        )
        if one.loss is not None and one.to is None:
            link = link.with_loss(one.loss)
        load_bps = load_bps if one.load_bps is None else one.load_bps
    rate_bps = None if link.rate_bps is None else max(link.rate_bps - load_bps, least_bps)
    return replace(link, rate_bps=rate_bps, jitter_us=min(link.jitter_us, link.delay_us))


def all_links(device: str, planned: Links, timeline: Iterable[TimelineEntry]) -> set[Links]:
    """What a device's link may be during a course: the planned one, and that with each change by itself."""
    changes = (one for one in timeline if device in one.devices and (one.up is not None or one.down is not None))
    return {planned, *(links_with(planned, [one]) for one in changes)}


def directions_that_change(possible: Mapping[str, Iterable[Links]]) -> dict[tuple[str, str], frozenset[Link]]:
    """All links of each direction that is several during a course, by device and ``up`` or ``down``.

    Args:
        possible: by device, what its link may be.
    """
    found = {
        (name, way): frozenset(getattr(one, way) for one in links)
        for name, links in possible.items()
        for way in ("up", "down")
    }
    return {key: some for key, some in found.items() if len(some) > 1}


def has_absences(timeline: Iterable[TimelineEntry]) -> bool:
    """Whether devices are offline, or start anew, during a course: participants then have to expect that."""
    return any(
        one.action in ("offline", "restart") or (one.action == "kill" and one.duration_s is not None)
        for one in timeline
    )


def in_device_time(entry: TimelineEntry, scale: TimeScale) -> TimelineEntry:
    """Return an entry of a device file, which has wall time, as the experiment file has it."""
    if scale.is_real:
        return entry
    return replace(
        entry,
        at_s=None if entry.at_s is None else round(scale.to_device(entry.at_s), 6),
        duration_s=None if entry.duration_s is None else round(scale.to_device(entry.duration_s), 6),
        up=None if entry.up is None else _change_in_device_time(entry.up, scale),
        down=None if entry.down is None else _change_in_device_time(entry.down, scale),
    )


def _change_in_device_time(change: LinkChange, scale: TimeScale) -> LinkChange:
    to = change.to
    if to is not None:
        to = replace(
            to,
            rate_bps=_whole(scale.device_rate(to.rate_bps)),
            delay_us=round(scale.to_device(to.delay_us)),
            jitter_us=round(scale.to_device(to.jitter_us)),
        )
    return replace(
        change,
        to=to,
        rate_bps=_whole(scale.device_rate(change.rate_bps)),
        delay_us=_whole(scale.to_device(change.delay_us)),
        jitter_us=_whole(scale.to_device(change.jitter_us)),
        load_bps=_whole(scale.device_rate(change.load_bps)),
    )


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def describe_time(entry: TimelineEntry) -> str:
    """When it happens, for people: ``at 30 s``, ``round 3``, ``when pi-1 has joined``."""
    if entry.when is not None:
        return f"when {entry.when.device} {_STATES[entry.when.state]}"
    return f"at {entry.at_s:g} s" if entry.at_s is not None else f"round {entry.round}"


def describe_change(entry: TimelineEntry) -> str:
    """What happens, for people: ``partition``, ``link as 2g``, ``up 1 Mbit/s, down loss 5 %``."""
    if entry.action is not None:
        return entry.action
    if entry.profile is not None:
        return f"link as {entry.profile}"
    up, down = _change_text(entry.up), _change_text(entry.down)
    if up == down:
        return f"up and down {up}"
    return ", ".join(f"{way} {text}" for way, text in (("up", up), ("down", down)) if text)


def _change_text(change: LinkChange | None) -> str:
    if change is None:
        return ""
    if change.to is not None:
        to = change.to
        rate = "not limited" if to.rate_bps is None else units.rate(to.rate_bps)
        return f"{rate} {_change_text(LinkChange(None, None, to.delay_us, to.jitter_us, to.loss))}"
    parts = []
    if change.rate_bps is not None:
        parts.append(units.rate(change.rate_bps))
    if change.delay_us is not None:
        parts.append(f"delay {change.delay_us / 1000:g} ms")
    if change.jitter_us is not None:
        parts.append(f"jitter {change.jitter_us / 1000:g} ms")
    if change.loss is not None:
        parts.append(f"loss {change.loss * 100:g} %")
    if change.load_bps is not None:
        parts.append(f"other traffic {units.rate(change.load_bps)}" if change.load_bps else "no other traffic")
    return " ".join(parts)
