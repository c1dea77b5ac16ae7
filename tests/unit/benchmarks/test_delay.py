"""How long packets that are sent one after the other take at a rate, whatever the link's delay."""

from __future__ import annotations

import pytest

from benchmarks.link_figures.bench import Arrival
from benchmarks.link_figures.delay import in_queue

FRAME_S = 0.001


def _arrivals(*sent_and_delay: tuple[float, float]) -> list[Arrival]:
    return [Arrival(number, delay, sent + delay) for number, (sent, delay) in enumerate(sent_and_delay)]


def test_a_packet_alone_takes_its_own_time() -> None:
    packets = _arrivals((0.0, 0.03), (0.002, 0.04), (0.004, 0.03))
    assert in_queue(packets, FRAME_S) == pytest.approx([FRAME_S] * 3)


def test_packets_that_are_sent_at_once_wait_for_each_other() -> None:
    packets = _arrivals((1.0, 0.03), (1.0, 0.03), (1.0, 0.03), (1.0025, 0.03), (1.1, 0.03))
    assert in_queue(packets, FRAME_S) == pytest.approx([0.001, 0.002, 0.003, 0.0015, 0.001])


def test_they_wait_in_the_order_in_which_they_were_sent() -> None:
    first, second = _arrivals((1.0, 0.5), (1.0, 0.1))
    assert in_queue([second, first], FRAME_S) == pytest.approx([0.002, 0.001])
