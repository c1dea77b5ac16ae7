"""Mahimahi's packet-delivery traces: each line is a time in ms at which one packet of 1,500 bytes may leave the link.

Format: the README of package mahimahi-traces, the manual page mm-link(1), and link_queue.cc of
github.com/ravinet/mahimahi: times do not fall, the last is not 0, and the trace begins again at its last time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ...contract.link_variation import Track
from ...contract.queue_size import FRAME_BYTES
from ...contract.timeline import LEAST_RATE_BPS
from ..text_table import Line, Report

#: Rates are means over so many milliseconds: some round trips of a mobile link, and no more changes than can be made
#: in time on many devices.
WINDOW_MS: Final = 200
#: A trace that begins later has other times than those from its beginning, such as Unix time.
LATEST_START_MS: Final = 3_600_000
#: As long as a course can be. A longer trace has times in another unit, such as microseconds.
LONGEST_MS: Final = 604_800_000


def read_mahimahi(lines: Iterable[Line], report: Report) -> Track | None:
    """Read the lines of a trace, given with their numbers; None: something is wrong with it, which is reported."""
    times: list[int] = []
    for number, line in lines:
        if not line.isascii() or not line.isdigit():
            report(number, f"not a whole number of milliseconds: {line[:40]}", _hint(line))
            return None
        # Python reads no whole number of thousands of digits.
        at_ms = int(line[:20])
        if times and at_ms < times[-1]:
            report(number, f"time runs backwards: {at_ms} ms after {times[-1]} ms", "sort the lines")
            return None
        if not times and at_ms > LATEST_START_MS:
            hint = "times count from the beginning of the trace: subtract the first from all"
            report(number, f"the first packet leaves after {at_ms / 1000:g} s", hint)
            return None
        if at_ms > LONGEST_MS:
            hint = (
                f"times are in milliseconds, and a trace is no longer than {LONGEST_MS // 1000} s: cut it, if they are"
            )
            report(number, f"a packet leaves after {at_ms / 86_400_000:.3g} days", hint)
            return None
        times.append(at_ms)
    if times[-1] == 0:
        report(0, "the trace lasts 0 ms: its last time is 0", "it must last for some time")
        return None
    return packets_as_track(times)


def packets_as_track(times: list[int]) -> Track:
    """Return a trace as mean rates over windows of about :data:`WINDOW_MS`, which fill it exactly.

    An opportunity for 1,500 bytes counts as the frame of 1,514 that carries them, as links count bytes. During windows
    without any opportunity the link passes one frame in all: a link cannot have no rate, and what waits must not be
    dropped.

    Args:
        times: of the opportunities, in milliseconds; they do not fall, and the last is more than 0.
    """
    length = times[-1]
    windows = max(1, round(length / WINDOW_MS))
    counts = [0] * windows
    for at_ms in times:
        counts[max(0, -(-at_ms * windows // length) - 1)] += 1  # a time on a border ends the window before it
    starts = [round(number * length / windows) for number in range(windows + 1)]
    at_ms_of: list[int] = []
    rates: list[int] = []
    number = 0
    while number < windows:
        end = number + 1
        while not counts[end - 1] and end < windows and not counts[end]:
            end += 1
        frames = sum(counts[number:end]) or 1
        rate_bps = max(LEAST_RATE_BPS, round(frames * FRAME_BYTES * 8 * 1000 / (starts[end] - starts[number])))
        if not rates or rate_bps != rates[-1]:
            at_ms_of.append(starts[number])
            rates.append(rate_bps)
        number = end
    return Track(at_ms=tuple(at_ms_of), length_ms=length, rate_bps=tuple(rates))


def _hint(line: str) -> str | None:
    if len(line.split()) > 1:
        return (
            "a Mahimahi trace has one number a line; of a table, the first line names the columns, such as "
            "time_s rate_down_mbps"
        )
    return "one whole number a line, which is a time" if line[:1] in "-.0123456789" else None
