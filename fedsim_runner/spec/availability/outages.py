"""From what is said of a device's availability to the times at which it is offline. Pure; times are in seconds."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Final

#: Of one device; more make no sense.
OUTAGES_MAX: Final = 50_000
#: From when until when a device is offline; None: until the end of the course.
Outage = tuple[float, float | None]
NEVER_ONLINE: Final[Outage] = (0.0, None)


def between_windows(windows: Sequence[Sequence[float]], timeout_s: float) -> list[Outage]:
    """The times between windows in which a device is online, which rise and do not overlap."""
    found: list[Outage] = []
    now = 0.0
    for first, last in windows:
        if first > now:
            found.append((now, first))
        now = last
    return list(_bounded([*found, (now, None)], timeout_s))


def of_trace(times: Sequence[float], online: Sequence[bool], loop: bool, timeout_s: float) -> list[Outage]:
    """The times at which a trace has a device offline.

    Args:
        times: from 0, rising: from each on, the device is online or not.
        online: one for each time.
        loop: begin again at the end, which is as long after the last time as that is after the one before.
        timeout_s: until when.
    """
    length = times[-1] + (times[-1] - times[-2]) if loop and len(times) > 1 else None
    # Only where it changes: so each pass of a long trace has an outage, of which there is a limit.
    changes = [place for place in range(len(times)) if place == 0 or online[place] != online[place - 1]]
    times, online = [times[place] for place in changes], [online[place] for place in changes]
    if len(times) == 1:
        length = None
    found: list[Outage] = []
    since: float | None = None
    start = 0.0
    while start < timeout_s and len(found) <= OUTAGES_MAX:
        for time, is_online in zip(times, online, strict=True):
            if not is_online and since is None:
                since = start + time
            elif is_online and since is not None:
                found.append((since, start + time))
                since = None
        if length is None:
            break
        start += length
    if since is not None:
        found.append((since, None))
    return list(_bounded(found, timeout_s))


def at_random(on_s: float, off_s: float, seed: str, timeout_s: float) -> list[Outage]:
    """Draw times from a two-state Markov process in its steady state.

    Online and offline times are exponentially distributed; a device is online at the beginning with probability
    ``on_s / (on_s + off_s)``. As exponential times have no memory, what is left of the first has the same distribution.
    """
    source = random.Random(seed)
    is_online = source.random() < on_s / (on_s + off_s)
    found: list[Outage] = []
    now = 0.0
    while now < timeout_s and len(found) <= OUTAGES_MAX:
        lasts = source.expovariate(1 / (on_s if is_online else off_s))
        if not is_online:
            found.append((now, now + lasts))
        now += lasts
        is_online = not is_online
    return list(_bounded(found, timeout_s))


def _bounded(outages: Sequence[Outage], timeout_s: float) -> Iterator[Outage]:
    """Outages in milliseconds; those after the end of the course are left out."""
    for first, last in outages:
        begins = round(first, 3)
        ends = None if last is None or last >= timeout_s else round(last, 3)
        if begins < timeout_s and (ends is None or ends > begins):
            yield begins, ends
