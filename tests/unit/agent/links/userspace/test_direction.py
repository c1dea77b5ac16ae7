"""One direction of a link: a packet takes its own time, the queue counts bytes, and the rate holds from the start."""

from __future__ import annotations

import math
import random
from itertools import groupby, pairwise

import pytest

from fedsim_runner.agent.links.userspace.direction import Direction
from fedsim_runner.contract.gilbert_elliott import GilbertElliott
from fedsim_runner.contract.link import Link, Queue
from fedsim_runner.contract.queue_size import FRAME_BYTES, buffer_bytes

SLOW = 256_000  # bit/s


def direction(rate_bps: int | None = None, delay_us: int = 0, jitter_us: int = 0, loss: float = 0.0) -> Direction:
    return Direction(Link(rate_bps, delay_us, jitter_us, loss), "seed")


def test_a_lone_frame_takes_the_time_of_its_bytes() -> None:
    link = direction(SLOW, 400_000)
    takes = FRAME_BYTES * 8 / SLOW
    for at in (10.0, 20.0):
        assert link.departure_s(at, FRAME_BYTES) == pytest.approx(at + takes + 0.4)
    assert direction(None, 400_000).departure_s(10.0, FRAME_BYTES) == pytest.approx(10.4)


@pytest.mark.parametrize("rate_bps", [SLOW, 12_000_000, 1_000_000_000])
def test_the_rate_holds_over_the_first_second(rate_bps: int) -> None:
    """Nothing passes ahead of the rate, and the bottleneck never stands idle."""
    link = direction(rate_bps)
    left, at = [], 5.0
    for _ in range(math.ceil(rate_bps / 8 / FRAME_BYTES) * 2):  # offered: twice the rate
        due = link.departure_s(at, FRAME_BYTES)
        at += FRAME_BYTES * 8 / rate_bps / 2
        if due is not None and due <= 6.0:
            left.append(due)
    assert len(left) * FRAME_BYTES * 8 == pytest.approx(rate_bps, abs=FRAME_BYTES * 8 + 0.001 * rate_bps)
    assert {round(after - before, 9) for before, after in pairwise(left)} == {round(FRAME_BYTES * 8 / rate_bps, 9)}


@pytest.mark.parametrize("rate_bps", [SLOW, 12_000_000, 1_000_000_000])
def test_a_full_queue_delays_by_its_bytes_and_not_more(rate_bps: int) -> None:
    link = direction(rate_bps)
    longest = buffer_bytes(rate_bps) * 8 / rate_bps
    waits = [due - 1.0 for _ in range(10_000) if (due := link.departure_s(1.0, FRAME_BYTES)) is not None]
    assert longest - FRAME_BYTES * 8 / rate_bps <= max(waits) <= longest + 1e-8
    assert link.tally.overflowed == 10_000 - len(waits)


@pytest.mark.parametrize(("queue", "room_s"), [(Queue(buffer_us=20_000), 0.02), (Queue(buffer_bytes=250_000), 2.0)])
def test_a_queue_holds_what_was_asked_for(queue: Queue, room_s: float) -> None:
    link = Direction(Link(1_000_000, queue=queue), "seed")
    waits = [due - 1.0 for _ in range(1_000) if (due := link.departure_s(1.0, 500)) is not None]
    assert max(waits) == pytest.approx(room_s, abs=0.0041)
    assert len(waits) == math.floor(room_s / 0.004)


@pytest.mark.parametrize(("rate_bps", "delay_us"), [(256_000, 400_000), (3_000_000, 260_000), (12_000_000, 35_000)])
def test_no_small_packet_is_lost_at_half_the_rate(rate_bps: int, delay_us: int) -> None:
    """The queue's room is counted in bytes, and what is under way takes none of it."""
    link = direction(rate_bps, delay_us, delay_us // 10)
    gap = max(2 * 64 * 8 / rate_bps, 1 / 20_000)
    assert all(link.departure_s(1.0 + number * gap, 64) is not None for number in range(20_000))
    assert (link.tally.lost, link.tally.overflowed) == (0, 0)


def test_a_packet_larger_than_the_room_passes_an_empty_queue() -> None:
    link = direction(SLOW)
    assert link.departure_s(1.0, 65_536) is not None and link.departure_s(1.0, 64) is None


def test_loss_takes_no_time_of_the_bottleneck() -> None:
    link = direction(20_000_000, 0, 0, 0.05)
    count = 10_000
    passed = sum(link.departure_s(1.0 + number * 0.001, 1000) is not None for number in range(count))
    assert link.tally.lost == count - passed and link.tally.lost == pytest.approx(500, abs=72)  # 99.9 %
    dense, clean = direction(20_000_000, 0, 0, 0.5), direction(20_000_000)
    last = [max(one.departure_s(1.0, FRAME_BYTES) or 0.0 for _ in range(100)) for one in (dense, clean)]
    assert last[0] - 1.0 < 0.7 * (last[1] - 1.0)


@pytest.mark.parametrize(
    "bursts", [GilbertElliott(0.01, 0.2), GilbertElliott(0.02, 0.3, 0.7, 0.001)], ids=["simple", "both states lose"]
)
def test_losses_come_in_bursts(bursts: GilbertElliott) -> None:
    count = 400_000
    link = Direction(Link(loss=bursts.mean_loss, bursts=bursts), "seed")
    lost = [link.departure_s(number * 0.001, 100) is None for number in range(count)]
    # Five deviations of the number of losses, and of the mean of bursts, whose lengths are as good as geometric.
    deviation = math.sqrt(count * bursts.mean_loss * (1 - bursts.mean_loss) * bursts.variance_factor)
    assert abs(sum(lost) - count * bursts.mean_loss) < 5 * deviation
    lengths = [len(list(group)) for is_lost, group in groupby(lost) if is_lost]
    spread = bursts.mean_burst / math.sqrt(len(lengths))
    assert sum(lengths) / len(lengths) == pytest.approx(bursts.mean_burst, abs=5 * spread)


def test_a_change_of_the_rate_keeps_the_state_of_a_link_with_bursts() -> None:
    always = GilbertElliott(1.0, 1e-9)  # bad from the second packet on
    link = Direction(Link(1_000_000, loss=always.mean_loss, bursts=always), "seed")
    assert link.departure_s(1.0, 100) is not None
    assert link.changed_to(Link(2_000_000, loss=always.mean_loss, bursts=always), "seed").departure_s(2.0, 100) is None


def test_other_values_apply_from_now_on_and_nothing_is_overtaken() -> None:
    link = direction(1_000_000, 300_000)
    before = [link.departure_s(1.0, FRAME_BYTES) for _ in range(5)]
    faster = link.changed_to(Link(10_000_000, 1_000), "seed")
    after = faster.departure_s(1.0, FRAME_BYTES)
    assert after is not None and before[-1] is not None and after >= before[-1]
    assert faster.departure_s(9.0, FRAME_BYTES) == pytest.approx(9.001 + FRAME_BYTES * 8 / 10_000_000)


def test_a_change_goes_on_with_what_is_drawn() -> None:
    """Else links that change every second would lose the same packets after each change."""
    link, passed = direction(None, loss=0.5), []
    for second in range(200):
        link = link.changed_to(Link(None, second, loss=0.5), "seed")
        passed.append(link.departure_s(float(second), 100) is not None)
    assert sum(passed) == pytest.approx(100, abs=35)


def test_packets_of_all_sizes_stay_in_order() -> None:
    link, rng, at = direction(3_000_000, 50_000, 20_000), random.Random(1), 1.0
    left = []
    for _ in range(5_000):
        at += rng.expovariate(500)
        due = link.departure_s(at - rng.random() * 1e-4, rng.choice((60, 590, 1514)))
        left += [due] if due is not None else []
    assert len(left) > 4_000 and left == sorted(left)


def test_what_has_passed_and_what_waits_are_all_that_was_taken() -> None:
    link = direction(1_000_000, 300_000, loss=0.2)
    for _ in range(40):
        link.departure_s(1.0, 1000)
    counted = link.tally
    assert counted.lost > 0 and counted.overflowed > 0
    for now, waiting in ((1.0, counted.bytes), (1.05, counted.bytes - 6_250), (2.0, 0)):
        seen = link.passed(now)
        assert seen.backlog_bytes == pytest.approx(waiting, abs=1) and seen.bytes + seen.backlog_bytes == counted.bytes
        assert seen[1:4] == (counted.packets, counted.lost, counted.overflowed)
    unlimited = direction(None, 300_000)
    unlimited.departure_s(1.0, 1000)
    assert unlimited.passed(1.0) == (1000, 1, 0, 0, 0)  # what is delayed does not wait
