"""Packet-delivery traces become mean rates over windows."""

from __future__ import annotations

import random

import pytest

from fedsim_runner.contract.link import Link
from fedsim_runner.spec.traces.mahimahi import LONGEST_MS, WINDOW_MS, packets_as_track, read_mahimahi

FRAME_BITS = 1514 * 8


def never(line: int, message: str, hint: str | None) -> None:
    raise AssertionError(message)


def test_by_hand() -> None:
    """Five windows of 200 ms: five packets in the first, none in the next three, two in the last."""
    track = packets_as_track([0, 0, 100, 150, 200, 900, 1000])
    assert track.at_ms == (0, 200, 800)
    assert track.length_ms == 1000
    assert track.rate_bps == (5 * FRAME_BITS * 5, round(FRAME_BITS / 0.6), 2 * FRAME_BITS * 5)
    assert track.delay_us is None and track.loss is None


def test_the_shortest_trace_is_a_constant_rate() -> None:
    """The README of mahimahi-traces: a file that contains just "1" is a packet per millisecond, for ever."""
    track = packets_as_track([1])
    assert (track.at_ms, track.length_ms, track.rate_bps) == ((0,), 1, (FRAME_BITS * 1000,))


def test_equal_rates_are_one_step() -> None:
    track = packets_as_track(list(range(1, 10_001)))
    assert track.at_ms == (0,) and track.rate_bps == (FRAME_BITS * 1000,)


def test_as_much_passes_in_all_as_the_trace_lets_pass() -> None:
    draw = random.Random(7)
    at_ms, times = 0, []
    while at_ms < 60_000:
        at_ms += draw.choice((0, 0, 1, 2, 5, 30))
        times.append(at_ms)
    track = packets_as_track(times)
    assert track.rate_bps is not None
    bits = sum(rate * ms / 1000 for rate, ms in zip(track.rate_bps, track.lasts_ms(), strict=True))
    assert abs(bits / (len(times) * FRAME_BITS) - 1) < 0.001
    assert min(track.lasts_ms()) >= WINDOW_MS - 1


def test_a_long_pause_is_no_rate_below_the_least() -> None:
    track = packets_as_track([1, 60_000])
    assert track.rate_bps is not None and min(track.rate_bps) == 1000
    assert track.link(1, Link()).rate_bps == 1000


def test_lines_are_read() -> None:
    track = read_mahimahi([(1, "0"), (2, "0"), (4, "400")], never)
    assert track is not None and track.length_ms == 400


@pytest.mark.parametrize("last", ["1000000000", "1000000000000", "9" * 5000], ids=["us", "ns", "digits"])
def test_times_in_another_unit_are_named_and_make_no_billions_of_windows(last: str) -> None:
    said: list[tuple[int, str, str | None]] = []
    assert read_mahimahi([(1, "0"), (2, last)], lambda *mistake: said.append(mistake)) is None
    ((line, message, hint),) = said
    assert (line, "days" in message) == (2, True)
    assert hint is not None and hint.startswith("times are in milliseconds")
    assert read_mahimahi([(1, "0"), (2, str(LONGEST_MS))], never) is not None
