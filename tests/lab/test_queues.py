"""Queues, single frames and connections on a real kernel: what enters a link, waits in it, and is lost in it.

The same tests run on this machine's kernel and in a user-mode Linux kernel, as those of test_links.py do.
"""

from __future__ import annotations

import contextlib
import json
import socket
import statistics
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from fedsim_runner.agent.host import programs
from fedsim_runner.agent.kernel import netns
from fedsim_runner.agent.links.network.wiring import end_name
from fedsim_runner.agent.links.shaping.shaper import Shaper
from fedsim_runner.contract.link import INTERFACE, Link
from fedsim_runner.contract.queue_size import FRAME_BYTES, buffer_bytes
from tests.lab.rig import MBIT, PORT, SLACK_S, Rig, apply, rig, shaped

TOTAL_RETRANSMITS = 100  # of struct tcp_info: where tcpi_total_retrans begins
HEADERS = 42  # Ethernet, IPv4, UDP
UP_AND_DOWN = pytest.mark.parametrize("way", ["up", "down"])


@contextlib.contextmanager
def connection(lab: Rig, source: str, target: str) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A TCP connection under cubic: the sender's and the receiver's end."""
    with netns.inside(lab.namespaces[target]):
        listener = socket.create_server((lab.addresses[target], PORT + 1))
    with netns.inside(lab.namespaces[source]):
        sender = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
    sender.settimeout(10)
    with listener, sender:
        sender.connect((lab.addresses[target], PORT + 1))
        receiver, _ = listener.accept()
        with receiver:
            yield sender, receiver


def retransmits(sender: socket.socket) -> int:
    info = sender.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return int(struct.unpack_from("=I", info, TOTAL_RETRANSMITS)[0])


def drops(lab: Rig, shaper: Shaper, backend: str, source: str, target: str) -> int:
    """Packets that were dropped on the way, by whatever drops them in this back end."""
    if backend == "userspace":
        return int(shaper.counters()["devices"][target]["dropped"])
    found = 0
    for where, interface in ((lab.namespaces[source], INTERFACE), (None, end_name(lab.addresses[target]))):
        with lab.network.inside() if where is None else netns.inside(where):
            shown = json.loads(programs.run(["tc", "-s", "-json", "qdisc", "show", "dev", interface]))
        found += sum(entry["drops"] for entry in shown if entry.get("root"))
    return found


@UP_AND_DOWN
def test_a_loss_costs_one_frame_of_a_tcp_flow(way: str, backend: str, probed: dict[str, Any]) -> None:
    """Behind a queue that holds super-packets a drop would cost as many retransmits as it has frames."""
    with rig("a", "b") as lab:
        source, target = ("a", "b") if way == "up" else ("b", "a")
        lossy = Link(100 * MBIT, 5_000, loss=0.01)
        links = lab.links(lossy, None) if way == "up" else lab.links(None, lossy)
        with shaped(lab, links, backend, probed) as shaper:
            apply(shaper, lab)
            with connection(lab, source, target) as (sender, receiver):
                thread = threading.Thread(target=_send, args=(sender, 6_000_000))
                thread.start()
                _receive(receiver)
                thread.join()
                repeated = retransmits(sender)
            dropped = drops(lab, shaper, backend, source, target)
            assert dropped >= 20
            # A tail that is probed, or an answer that comes late, may cost one more.
            assert repeated == pytest.approx(dropped, rel=0.1, abs=4)


@pytest.mark.parametrize(
    ("link", "seconds"),
    [(Link(256_000, 400_000, 40_000), 3), (Link(12 * MBIT, 35_000, 4_000), 1), (Link(3 * MBIT, 260_000, 15_000), 1)],
    ids=["2g", "4g", "satellite"],
)
def test_small_packets_at_half_the_rate_are_not_lost(
    link: Link, seconds: float, backend: str, probed: dict[str, Any]
) -> None:
    assert link.rate_bps is not None
    size = 64 - HEADERS
    with rig("a", "b") as lab, shaped(lab, lab.links(link), backend, probed) as shaper:
        apply(shaper, lab)
        # Few enough that all of those under way have room in the queue: after a pause of the machine they come at once.
        per_s = min(link.rate_bps / 2 / 64 / 8, 1_500)
        count = round(per_s * seconds)
        arrived = lab.burst("a", "b", count, size, per_s * 64 * 8, steady=True)
        assert len(arrived) == count
        numbers = [number for _, number in arrived]
        assert numbers == sorted(numbers)


@UP_AND_DOWN
def test_a_full_queue_adds_what_it_may_hold(way: str, backend: str, probed: dict[str, Any]) -> None:
    """Also on an uplink: what waits for it waits in the link, not in the sender's socket (TCP small queues)."""
    link = Link(4 * MBIT, 20_000)
    assert link.rate_bps is not None
    with rig("a", "b") as lab:
        source, target = ("a", "b") if way == "up" else ("b", "a")
        links = lab.links(link, None) if way == "up" else lab.links(None, link)
        with shaped(lab, links, backend, probed) as shaper:
            apply(shaper, lab)
            with connection(lab, source, target) as (sender, receiver):
                threads = [
                    threading.Thread(target=_send, args=(sender, 3_500_000)),
                    threading.Thread(target=_receive, args=(receiver,)),
                ]
                for thread in threads:
                    thread.start()
                time.sleep(2)  # the window opens
                delays = lab.one_way_s(source, target, count=20, gap_s=0.01)
                for thread in threads:
                    thread.join()
            full = buffer_bytes(link.rate_bps) * 8 / link.rate_bps
            # The median: the machine's other work may hold up many, but without a limit most would wait far longer.
            assert 0.020 + 0.4 * full < statistics.median(delays) <= 0.020 + full + 0.010


def test_a_lone_frame_takes_the_time_for_its_bytes(backend: str, probed: dict[str, Any]) -> None:
    size = FRAME_BYTES - HEADERS
    with rig("a", "b") as lab, shaped(lab, lab.links(Link(256_000, 20_000)), backend, probed) as shaper:
        apply(shaper, lab)
        expected = 0.020 + FRAME_BYTES * 8 / 256_000
        assert min(lab.one_way_s("a", "b", count=8, gap_s=0.06, size=size)) == pytest.approx(expected, abs=SLACK_S)


def test_a_first_connection_takes_a_round_trip(backend: str, probed: dict[str, Any]) -> None:
    """No neighbour is asked for before it, over a link that would delay the question and the answer."""
    with rig("a", "b", "c", "d") as lab:
        links = [
            link if link.device == "a" else type(link)(link.device, link.address, *_SATELLITE) for link in lab.links()
        ]
        with shaped(lab, links, backend, probed) as shaper:
            apply(shaper, lab)
            took = []
            with netns.inside(lab.namespaces["a"]):
                listener = socket.create_server((lab.addresses["a"], PORT))
            with listener:
                for name in ("b", "c", "d"):
                    with netns.inside(lab.namespaces[name]):
                        connecting = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
                    started = time.monotonic()
                    with connecting:
                        connecting.connect((lab.addresses["a"], PORT))
                        took.append(time.monotonic() - started)
            # The quickest: on a busy machine any may be late, but none can be early.
            assert min(took) == pytest.approx(0.520, abs=2 * SLACK_S)


_SATELLITE = Link(3 * MBIT, 260_000), Link(25 * MBIT, 260_000)


def _send(sender: socket.socket, count: int) -> None:
    sender.settimeout(None)
    sender.sendall(bytes(count))
    sender.shutdown(socket.SHUT_WR)


def _receive(receiver: socket.socket) -> None:
    while receiver.recv(1 << 16):
        pass
