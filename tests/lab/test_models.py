"""What a link does besides rate, delay and independent losses, measured on a real kernel.

The same tests run on this machine's kernel and in a user-mode Linux kernel, as those of test_links.py do.
"""

from __future__ import annotations

import itertools
import math
import socket
import statistics
import threading
import time
from dataclasses import replace
from itertools import groupby
from typing import Any

import pytest

from fedsim_runner.agent.kernel import netns
from fedsim_runner.agent.links import backends
from fedsim_runner.agent.links.deviation import Deviation
from fedsim_runner.agent.links.network.veth import UP
from fedsim_runner.agent.links.shaping.shaper import Shaper
from fedsim_runner.contract.gilbert_elliott import GilbertElliott
from fedsim_runner.contract.jitter_distribution import DistributionName
from fedsim_runner.contract.link import Discipline, Link, Links, Queue
from tests.lab.rig import MBIT, PORT, SLACK_S, Rig, apply, rig, shaped

UP_AND_DOWN = pytest.mark.parametrize("way", ["up", "down"])


@pytest.mark.parametrize(
    ("way", "queue"), [("up", Queue(buffer_us=300_000)), ("down", Queue(buffer_bytes=15_000))], ids=["up", "down"]
)
def test_a_flow_faster_than_the_rate_waits_as_long_as_the_queue_has_room(
    way: str, queue: Queue, backend: str, probed: dict[str, Any]
) -> None:
    link = Link(4 * MBIT, 20_000, queue=queue)
    room_s = 0.3 if queue.buffer_us else 0.03
    with rig("a", "b") as lab:
        source, target = ("a", "b") if way == "up" else ("b", "a")
        links = lab.links(link, None) if way == "up" else lab.links(None, link)
        with shaped(lab, links, backend, probed) as shaper:
            apply(shaper, lab)
            delays = lab.dense_s(source, target, 600, 1200, 8 * MBIT)
            assert len(delays) < 600, "what exceeds rate and queue is dropped"
            # The median: the machine's other work may hold up some.
            full = statistics.median(delays[-150:])
            assert 0.020 + 0.8 * room_s < full <= 0.020 + room_s + 0.010


# Both distributions are wider than a uniform one with the same jitter.
@pytest.mark.parametrize(("name", "table"), [("normal", ()), ("table", (0, 0, 0, 4 * 8192))], ids=["normal", "table"])
def test_a_delay_has_the_distribution_asked_for(
    name: DistributionName, table: tuple[int, ...], backend: str, probed: dict[str, Any]
) -> None:
    link = Link(None, 50_000, 5_000, jitter_distribution=name, jitter_table=table)
    with rig("a", "b") as lab, shaped(lab, lab.links(link), backend, probed) as shaper:
        apply(shaper, lab)
        delays = lab.dense_s("a", "b", 4000, 64, 500 * (64 + 42) * 8)
        assert len(delays) == 4000
        # What the machine's other work has held up says nothing of the link.
        longest = link.longest_delay_us / 1e6 + SLACK_S
        in_time = [delay for delay in delays if delay <= longest]
        assert len(in_time) > 0.8 * len(delays)
        # 80 independent values in 8 s, if there is a new one every 100 ms: five deviations of mean and deviation.
        asked = link.delay_moments
        assert statistics.fmean(in_time) == pytest.approx(link.mean_delay_us / 1e6, abs=0.56 * asked.deviation * 0.005)
        assert statistics.stdev(in_time) == pytest.approx(asked.deviation * 0.005, rel=0.4)
        assert min(delays) >= (link.delay_us + link.distribution.least * link.jitter_us) / 1e6 - 0.0005


@pytest.mark.parametrize(
    ("way", "jitter_us", "changes"),
    [("up", 0, False), ("down", 0, False), ("down", 1_000, False), ("up", 0, True)],
    ids=["up", "down", "jitter", "changes"],
)
def test_losses_come_in_bursts(way: str, jitter_us: int, changes: bool, backend: str, probed: dict[str, Any]) -> None:
    """Also where the link's delay moves, or is changed again and again: its state stays."""
    # Bursts of 20 packets, twice as many between two changes: which would end those under way.
    model = GilbertElliott(0.05, 0.05)
    link = Link(20 * MBIT, 5_000, jitter_us, loss=model.mean_loss, bursts=model)
    other = replace(link, rate_bps=25 * MBIT, delay_us=6_000)
    count = 8_000
    with rig("a", "b") as lab:
        source, target = ("a", "b") if way == "up" else ("b", "a")
        links = lab.links(link, None) if way == "up" else lab.links(None, link)
        with shaped(lab, links, backend, probed) as shaper:
            profile, chosen = shaper.requested
            if changes:
                profile = replace(profile, later=(link, other))
                shaper.set_profile(profile, chosen)
            apply(shaper, lab)
            over = threading.Event()

            def change() -> None:
                for now in itertools.cycle((other, link)):
                    if over.wait(0.02):
                        return
                    results = shaper.change(Deviation({"a": Links(now, Link())}).of(profile), lab.namespaces)
                    assert not any(result.failed for result in results.values()), results

            thread = threading.Thread(target=change if changes else over.wait)
            thread.start()
            arrived = {number for _, number in lab.burst(source, target, count, 200, 4 * MBIT, steady=True)}
            over.set()
            thread.join()
    lost = [number not in arrived for number in range(count)]
    deviation = math.sqrt(count * model.mean_loss * (1 - model.mean_loss) * model.variance_factor)
    assert abs(sum(lost) - count * model.mean_loss) < 5 * deviation
    lengths = [len(list(group)) for is_lost, group in groupby(lost) if is_lost]
    # About 200 bursts, whose lengths are geometric: five deviations of their mean.
    assert statistics.fmean(lengths) == pytest.approx(model.mean_burst, abs=5 * model.mean_burst / len(lengths) ** 0.5)


@pytest.mark.parametrize(
    ("rate_bps", "before"),
    [(None, None), (20 * MBIT, None), (20 * MBIT, Link(1 * MBIT, 9_000, duplicate=0.5)), (None, Link(duplicate=0.5))],
    ids=["unlimited", "rate", "changed", "changed-unlimited"],
)
def test_packets_arrive_twice(rate_bps: int | None, before: Link | None, backend: str, probed: dict[str, Any]) -> None:
    """Also on a link that has become what it is in place."""
    link = Link(rate_bps, 5_000, duplicate=0.1)
    if refused(backend, link, probed):
        return
    with rig("a", "b") as lab, shaped(lab, lab.links(before or link), backend, probed) as shaper:
        apply_and_change(shaper, lab, before, link)
        numbers = [number for _, number in lab.burst("a", "b", 3_000, 200, 4 * MBIT, steady=True)]
    assert set(numbers) == set(range(3_000))
    assert len(numbers) - 3_000 == pytest.approx(300, abs=85)  # 5 sigma


def test_corrupt_packets_do_not_arrive_and_tcp_sends_them_again(backend: str, probed: dict[str, Any]) -> None:
    link = Link(20 * MBIT, 5_000, corrupt=0.05)
    if refused(backend, link, probed):
        return
    with rig("a", "b") as lab, shaped(lab, lab.links(link), backend, probed) as shaper:
        apply(shaper, lab)
        arrived = lab.burst("a", "b", 3_000, 1_000, 8 * MBIT, steady=True)
        # A flipped bit of the sender's hardware address is one that nobody checks.
        assert 3_000 - len(arrived) == pytest.approx(150, abs=62)  # 5 sigma
        content = bytes(range(256)) * 4_000
        with netns.inside(lab.namespaces["b"]):
            listener = socket.create_server((lab.addresses["b"], PORT + 1))
        with netns.inside(lab.namespaces["a"]):
            sender = socket.create_connection((lab.addresses["b"], PORT + 1), timeout=5)
        with listener, sender, listener.accept()[0] as receiver:
            sender.settimeout(60)
            thread = threading.Thread(target=lambda: (sender.sendall(content), sender.shutdown(socket.SHUT_WR)))
            thread.start()
            got = b"".join(iter(lambda: receiver.recv(1 << 16), b""))
            thread.join()
        assert got == content


@pytest.mark.parametrize(
    ("discipline", "target_us", "rate_before_bps"), [("codel", None, MBIT), ("fq_codel", 7_500, None)]
)
def test_a_queue_with_codel_stays_short(
    discipline: Discipline, target_us: int | None, rate_before_bps: int | None, backend: str, probed: dict[str, Any]
) -> None:
    """A TCP flow, which answers to drops, waits for a fraction of the room, which it would fill in a fifo.

    Also on a link whose rate has been changed in place.
    """
    link = Link(4 * MBIT, 10_000, queue=Queue(buffer_us=1_000_000, discipline=discipline, target_us=target_us))
    if refused(backend, link, probed):
        return
    before = None if rate_before_bps is None else replace(link, rate_bps=rate_before_bps)
    with rig("a", "b") as lab, shaped(lab, lab.links(before or link), backend, probed) as shaper:
        apply_and_change(shaper, lab, before, link)
        with netns.inside(lab.namespaces["b"]):
            listener = socket.create_server((lab.addresses["b"], PORT + 1))
        with netns.inside(lab.namespaces["a"]):
            sender = socket.create_connection((lab.addresses["b"], PORT + 1), timeout=5)
        with listener, sender, listener.accept()[0] as receiver:
            sender.settimeout(60)
            threads = [
                threading.Thread(target=lambda: (sender.sendall(bytes(2_000_000)), sender.shutdown(socket.SHUT_WR))),
                threading.Thread(target=lambda: b"".join(iter(lambda: receiver.recv(1 << 16), b""))),
            ]
            begun = time.monotonic()
            for thread in threads:
                thread.start()
            time.sleep(2)
            delays = lab.one_way_s("a", "b", count=20, gap_s=0.01)
            for thread in threads:
                thread.join()
            took = time.monotonic() - begun
        # Twenty times the target of 5 ms, and a tenth of the room.
        assert 0.009 < statistics.median(delays) < 0.110
        assert took > 2_000_000 * 8 / (4 * MBIT) * 0.95, "the rate holds"
        # What the discipline drops, the queue drops.
        seen = shaper.look(lab.namespaces)["a", "up"]
        assert seen.overflowed > 0 and seen.lost == 0 and seen.bytes > 2_000_000


def apply_and_change(shaper: Shaper, lab: Rig, before: Link | None, link: Link) -> None:
    """Bring the links into force, and where the uplink of ``a`` was another one before, change it in place."""
    profile, chosen = shaper.requested
    if before is not None:
        profile = replace(profile, later=(before, link), changing={("a", UP): (before, link)})
        shaper.set_profile(profile, chosen)
    apply(shaper, lab)
    if before is not None:
        results = shaper.change(Deviation({"a": Links(link, Link())}).of(profile), lab.namespaces)
        assert results["a"].failed is None
        assert not any(result.changed for result in shaper.apply(lab.namespaces, check=True).values())


def refused(backend: str, link: Link, probed: dict[str, Any]) -> bool:
    """Whether this back end does not do the link; then it has to say so."""
    kind = next(kind for kind in backends.load_all() if kind.name == backend)
    said = list(kind.lacks([link]))
    if said:
        with pytest.raises(backends.UnshapableError, match=said[0]):
            backends.able_backends(backend, [link])
    return bool(said)
