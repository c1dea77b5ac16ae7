"""What a back end counts is what passed, what was lost, and what found no room, as seen by who sent and received it.

The same tests run on this machine's kernel and in a user-mode Linux kernel, as those of test_links.py do.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from fedsim_runner.agent.links.shaping.shaper import Shaper
from fedsim_runner.agent.links.tally import Passed, Tally
from fedsim_runner.agent.measuring.course_check import describe_count
from fedsim_runner.contract.link import Link
from fedsim_runner.contract.link_verdict import OUT, WITHIN
from fedsim_runner.contract.queue_size import buffer_bytes
from tests.lab.rig import MBIT, apply, rig, shaped

PACKETS, SIZE = 1_500, 300
LOSSY = Link(50 * MBIT, 5_000, 0, 0.05)
SLOW = Link(1 * MBIT, 5_000, 0, 0.0)


def count_burst(
    link: Link, way: str, backend: str, probed: dict[str, Any], rate_bps: float
) -> tuple[Tally, int, list[Passed]]:
    """What was counted of a burst over one direction of a's link, how many of its packets did not arrive, and looks."""
    with rig("a", "b") as lab:
        links = lab.links(up=link) if way == "up" else lab.links(down=link)
        source, target = ("a", "b") if way == "up" else ("b", "a")
        with shaped(lab, links, backend, probed) as shaper:
            apply(shaper, lab)
            lab.burst(source, target, 20, SIZE, rate_bps)
            shaper.count(lab.namespaces, afresh=True)
            with looking(shaper, lab.namespaces, way) as looks:
                arrived = lab.burst(source, target, PACKETS, SIZE, rate_bps)
            counted = shaper.count(lab.namespaces, afresh=False)["a", way]
            # Those of a device that has ended stay known.
            assert shaper.count({}, afresh=False)["a", way].packets >= counted.packets
    # The counters of every second come to the same.
    assert looks[-1] == (counted.bytes, counted.packets, counted.lost, counted.overflowed, 0)
    assert [one.bytes for one in looks] == sorted(one.bytes for one in looks)
    return counted, PACKETS - len(arrived), looks


@contextlib.contextmanager
def looking(shaper: Shaper, namespaces: dict[str, str], way: str) -> Iterator[list[Passed]]:
    """What is seen of a direction of a's link, again and again while the block runs and once after it."""
    looks: list[Passed] = []
    over = threading.Event()

    def look() -> None:
        if (found := shaper.look(namespaces).get(("a", way))) is not None:
            looks.append(found)

    def look_on() -> None:
        while not over.wait(0.05):
            look()

    thread = threading.Thread(target=look_on)
    thread.start()
    try:
        yield looks
    finally:
        over.set()
        thread.join()
    look()


@pytest.mark.parametrize("way", ["up", "down"])
def test_lost_packets_are_counted_one_by_one(way: str, backend: str, probed: dict[str, Any]) -> None:
    counted, missing, _ = count_burst(LOSSY, way, backend, probed, 4 * MBIT)
    # One more packet comes before each burst.
    assert PACKETS + 1 <= counted.packets <= PACKETS + 5
    assert 0 <= counted.lost + counted.overflowed + counted.dropped - missing <= 1
    assert counted.lost > 0
    assert counted.bytes >= (counted.packets - counted.lost - counted.overflowed) * SIZE
    assert describe_count("a", way, LOSSY, counted, 0.0, 1).rate_verdict != OUT


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_full_queue_is_no_loss_and_its_link_is_at_its_rate(way: str, backend: str, probed: dict[str, Any]) -> None:
    counted, missing, looks = count_burst(SLOW, way, backend, probed, 10 * MBIT)
    # In user space some do not get so far: what floods an uplink is held up at the device's own interface.
    assert 0 < counted.overflowed <= missing + 1 and counted.lost == 0
    found = describe_count("a", way, SLOW, counted, 0.0, 1)
    assert found.rate_verdict != OUT and (found.loss_verdict == WITHIN or counted.dropped)
    # While more comes than the rate lets through, the queue is full, but for less than a packet; netem counts the one
    # that it is sending whole.
    room, frame = buffer_bytes(SLOW.rate_bps, SLOW.queue), SIZE + 42
    assert room - 2 * frame <= max(one.backlog_bytes for one in looks) <= room + frame
