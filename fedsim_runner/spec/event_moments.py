"""When the events of an experiment file happen; random ones are drawn from its seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from ..catalog.suggestions import suggestion
from ..contract.timeline import When
from ..yamlfile.document import Document
from ..yamlfile.spec_errors import PathPart
from .event_entries import EVENTS_MAX, EventEntry, RandomEntry, WhenEntry

KINDS = ("at", "round", "when", "random")


@dataclass(frozen=True)
class Moment:
    """One moment, as one of its three kinds, and those whom it is for."""

    devices: tuple[str, ...]
    at_s: float | None = None
    round: int | None = None
    when: When | None = None


@dataclass(frozen=True)
class Course:
    """What limits the moments of a course; None: not known, since the file is wrong there."""

    seed: int
    timeout_s: float
    rounds: int | None
    clients: Sequence[str] | None
    server: str | None
    goes_on: bool


def moments_of(
    entry: EventEntry, number: int, devices: tuple[str, ...], course: Course, document: Document
) -> list[Moment]:
    """The moments of the event with this index in the file; empty if they are wrong, which is reported."""
    at: tuple[PathPart, ...] = ("events", number)
    before = len(document.errors)
    if entry.at is not None:
        if entry.at >= course.timeout_s:
            document.report((*at, "at"), f"after the end of the course: {_timeout(course)}")
        return [] if len(document.errors) > before else [Moment(devices, at_s=float(entry.at))]
    if entry.round is not None:
        if course.rounds is not None and entry.round > course.rounds:
            document.report((*at, "round"), f"after the last round: the course has {course.rounds}")
        return [] if len(document.errors) > before else [Moment(devices, round=entry.round)]
    if entry.when is not None:
        _check_when(entry.when, (*at, "when"), course, document)
        if len(document.errors) > before:
            return []
        return [Moment(devices, when=When(entry.when.device, entry.when.state))]
    if entry.random is None:
        return []
    _check_random(entry.random, (*at, "random"), devices, course, document)
    unknown = not devices or len(document.errors) > before
    return [] if unknown else _draw(entry.random, number, devices, course.seed)


def _timeout(course: Course) -> str:
    return f"course.timeout is {course.timeout_s:g} s"


def _check_when(when: WhenEntry, at: tuple[PathPart, ...], course: Course, document: Document) -> None:
    if when.device == course.server:
        document.report(
            (*at, "device"), f"{when.device} is the server, which has none of these states", "name a client"
        )
    elif course.clients is not None and when.device not in course.clients:
        document.report(
            (*at, "device"), f'there is no client "{when.device}"', suggestion(when.device, list(course.clients))
        )
    if when.state == "lost" and not course.goes_on:
        document.report(
            (*at, "state"),
            "never happens: with on_client_failure: abort, a lost client ends the course",
            "write on_client_failure: continue in course",
        )


def _check_random(
    given: RandomEntry, at: tuple[PathPart, ...], devices: tuple[str, ...], course: Course, document: Document
) -> None:
    first, last = given.between
    if first < 0:
        document.report((*at, "between"), "before the start of the course", "0 is the opening of the gate")
    elif last <= first:
        document.report((*at, "between"), "ends before it begins", "write it as [from, to]")
    elif last > course.timeout_s:
        document.report((*at, "between"), f"after the end of the course: {_timeout(course)}")
    if given.count is not None and given.every is not None:
        document.report(at, "says twice how many there are, with count and every", "keep one of them")
    elif given.count is None and given.every is None:
        document.report(at, "does not say how many there are", "give count, or every for a mean interval")
    elif given.every is not None and (last - first) / given.every > EVENTS_MAX:
        document.report((*at, "every"), f"makes more than {EVENTS_MAX} events")
    if given.pick is not None and devices and given.pick > len(devices):
        document.report((*at, "pick"), f"{given.pick} are more than the {len(devices)} devices")


def _draw(given: RandomEntry, number: int, devices: tuple[str, ...], seed: int) -> list[Moment]:
    """Draw moments, in milliseconds, and the devices of each; an event has a sequence of its own."""
    source = random.Random(f"{seed}/event/{number}")
    first, last = given.between
    if given.count is not None:
        times = sorted(source.uniform(first, last) for _ in range(given.count))
    else:
        times, now = [], first
        while (now := now + source.expovariate(1 / (given.every or 1))) < last:
            times.append(now)
    moments = []
    for time in times:
        chosen = set(devices if given.pick is None else source.sample(devices, given.pick))
        moments.append(Moment(tuple(name for name in devices if name in chosen), at_s=round(time, 3)))
    return moments
