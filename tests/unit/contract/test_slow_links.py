"""How long an answer takes over two links."""

from __future__ import annotations

import pytest

from fedsim_runner.contract.link import Link, Links
from fedsim_runner.contract.slow_links import answer_s, round_trip_s

NONE = Links(Link(), Link())


def both(**values: int) -> Links:
    return Links(Link(**values), Link(**values))


@pytest.mark.parametrize(
    ("one", "other", "seconds"),
    [
        (NONE, NONE, 0),
        (both(delay_us=70_000, rate_bps=12_000_000), NONE, 0),  # 4g and the like: nobody waits longer for them
        (both(delay_us=400_000), both(delay_us=100_000), 1),
        (both(delay_us=5_000_000), NONE, 10),
        (both(delay_us=5_000_000, jitter_us=1_000_000), both(delay_us=1_000), 13),
        (Links(Link(delay_us=3_000_000), Link()), NONE, 3),
        # 16 frames of 1514 bytes in each queue.
        (both(rate_bps=8_000), NONE, 49),
    ],
)
def test_the_slowest_answer(one: Links, other: Links, seconds: int) -> None:
    assert answer_s(one, other) == answer_s(other, one) == seconds


def test_a_round_trip_has_the_delays_of_both_devices_in_both_directions() -> None:
    assert round_trip_s(both(delay_us=1_000_000), Links(Link(delay_us=500_000), Link(rate_bps=8_000))) == 2.5
