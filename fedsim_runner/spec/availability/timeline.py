"""``available`` of all devices becomes entries of the run's timeline; everything wrong with it is reported."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from ...contract.timeline import TimelineEntry
from ...yamlfile.document import Document
from ...yamlfile.spec_errors import PathPart, SpecError
from ..experiment import Device
from ..schema import DeviceEntry
from ..text_table import take_mistakes
from .entries import AvailabilityEntry
from .outages import NEVER_ONLINE, OUTAGES_MAX, Outage, at_random, between_windows, of_trace
from .trace_file import read_trace


def availability_timeline(
    entries: Sequence[DeviceEntry | None],
    devices: Sequence[Device],
    seed: int,
    timeout_s: float,
    document: Document,
    folder: Path,
) -> tuple[TimelineEntry, ...]:
    """Return when devices are offline, in the order of time, without their numbers in the timeline.

    Args:
        entries: the devices of the file; None: invalid, which has been reported.
        devices: those of the experiment that come of them.
        seed: of the experiment.
        timeout_s: of the course; what would come after that is left out.
        document: the experiment file.
        folder: where relative paths start.
    """
    together: defaultdict[Outage, list[str]] = defaultdict(list)
    for number, entry in enumerate(entries):
        if entry is None or entry.available is None:
            continue
        at: tuple[PathPart, ...] = ("devices", number, "available")
        if entry.role == "server":
            document.report(at, "the server is always available: without it nothing goes on", "remove it")
            continue
        names = [device.name for device in devices if device.entry == number]
        for name, outages in zip(names, _outages(entry, names, seed, timeout_s, at, document, folder), strict=False):
            for outage in outages:
                together[outage].append(name)
            if len(together) > OUTAGES_MAX:
                hint = "give longer times, or a shorter course.timeout"
                document.report(at, f"devices go offline more than {OUTAGES_MAX:,} times until course.timeout", hint)
                return ()
    return tuple(
        TimelineEntry(
            number=0,
            devices=tuple(names),
            at_s=begins,
            action="offline",
            duration_s=None if ends is None else round(ends - begins, 3),
            of_availability=True,
        )
        for (begins, ends), names in sorted(together.items(), key=lambda item: item[0][0])
    )


def _outages(
    entry: DeviceEntry,
    names: Sequence[str],
    seed: int,
    timeout_s: float,
    at: tuple[PathPart, ...],
    document: Document,
    folder: Path,
) -> Iterator[list[Outage]]:
    """The outages of each of an entry's devices; nothing if it is wrong, which is reported."""
    given = entry.available
    if isinstance(given, list):
        if _check_windows(given, timeout_s, at, document):
            yield from [between_windows(given, timeout_s)] * len(names)
        return
    if given is None or not _check_rule(given, at, document):
        return
    if given.trace is not None:
        found = _read(given.trace, at, document, folder)
        if found is None:
            return
        outages = of_trace(*found, given.loop, timeout_s)
        if outages == [NEVER_ONLINE]:
            hint = f"course.timeout is {timeout_s:g} s; remove the device, or give it another trace"
            document.report((*at, "trace"), f"{given.trace}: never online before the end of the course", hint)
            return
        yield from [outages] * len(names)
    elif given.on_s is not None and given.off_s is not None:
        for name in names:
            yield at_random(given.on_s, given.off_s, f"{seed}/available/{name}", timeout_s)


def _check_windows(
    windows: Sequence[Sequence[float]], timeout_s: float, at: tuple[PathPart, ...], document: Document
) -> bool:
    before = len(document.errors)
    if not windows:
        document.report(at, "never: there is no window", "give windows as [from, to] in seconds, or remove it")
    now = 0.0
    for number, (first, last) in enumerate(windows):
        if first < 0:
            document.report((*at, number), "before the start of the course", "0 is the opening of the gate")
        elif last <= first:
            document.report((*at, number), "ends before it begins", "write it as [from, to]")
        elif first < now:
            document.report((*at, number), "begins before the last one has ended", "windows must rise, without overlap")
        elif first >= timeout_s:
            hint = "remove it and all after it, or give the course more time"
            document.report((*at, number), f"after the end of the course: course.timeout is {timeout_s:g} s", hint)
            break
        now = max(now, last)
    return len(document.errors) == before


def _check_rule(given: AvailabilityEntry, at: tuple[PathPart, ...], document: Document) -> bool:
    before = len(document.errors)
    times = [key for key in ("on_s", "off_s") if getattr(given, key) is not None]
    invalid = [key for key in ("trace", "on_s", "off_s") if document.errors_at((*at, key))]
    if invalid:
        return False
    if given.trace is not None and times:
        document.report(at, f"has a trace and {' and '.join(times)}", "keep one of them")
    elif given.trace is None and len(times) != 2:
        missing = {"on_s": "off_s", "off_s": "on_s"}
        hint = f"give {missing[times[0]]}, too" if times else "give windows, a trace, or on_s and off_s"
        document.report(at, f"has only {times[0]}" if times else "says nothing", hint)
    elif given.trace is None and "loop" in given.model_fields_set:
        document.report((*at, "loop"), "means nothing without a trace", "remove it")
    return len(document.errors) == before


def _read(
    trace: str, at: tuple[PathPart, ...], document: Document, folder: Path
) -> tuple[list[float], list[bool]] | None:
    here = (*at, "trace")
    try:
        path = folder / Path(trace).expanduser()
    except RuntimeError:
        document.report(here, f"{trace}: there is no such user here")
        return None
    try:
        mistakes: list[SpecError] = []
        found = read_trace(path, mistakes)
        take_mistakes(mistakes, trace, here, document)
        return found
    except (OSError, ValueError) as error:  # a null character in its name, for example
        reason = error.strerror if isinstance(error, OSError) else str(error)
        document.report(here, f"{trace}: {reason}", "paths start at this file's folder")
        return None
