"""What the kernel itself takes to change the qdiscs of all links: requests that are ready, made by a process alone.

The process has real-time priority and does nothing else: what is slower than that is not the kernel's.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from fedsim_runner.agent.kernel import netlink, netns, rtnetlink
from fedsim_runner.agent.kernel.netlink import Request
from fedsim_runner.agent.kernel.root_qdisc import Qdisc
from fedsim_runner.agent.links import backends
from fedsim_runner.agent.links.network.veth import DOWN, UP
from fedsim_runner.agent.links.network.wiring import end_name
from fedsim_runner.agent.links.profile import Profile
from fedsim_runner.agent.processes.scheduling import gain_priority
from fedsim_runner.contract.link import INTERFACE

from .children import fork

_TIMES = 5


@dataclass(frozen=True)
class Bare:
    """Seconds, the longest of a few times.

    Attributes:
        qdiscs: how many.
        one_s: one request for each qdisc.
        all_s: all requests that change a link, those of a namespace together.
    """

    qdiscs: int
    one_s: float
    all_s: float


def measure(
    backend: str | None,
    profile: Profile,
    before: Profile,
    names: Collection[str],
    namespaces: Mapping[str, str],
    network: str,
) -> Bare | None:
    """Give the qdiscs of these devices' links the values that they have; None: the kernel does not shape them.

    Args:
        backend: its name.
        profile: what is in force.
        before: as if it had been this.
        namespaces: path of each device's namespace.
        network: path of the run's.
    """
    kind = next((kind for kind in backends.load_all() if kind.name == backend), None)
    if kind is None:
        return None
    planned, others = kind({}).plan(profile), kind({}).plan(before)
    ends = {device.device: end_name(device.address) for device in profile.devices}
    with netns.inside(network):
        ports, outside = rtnetlink.ports(), netlink.open_channel()
    places: list[tuple[socket.socket, list[list[Request]]]] = [(outside, [])]
    for name in names:
        with netns.inside(namespaces[name]):
            inside = netlink.open_channel()
        up, down = planned[name].get(UP), planned[name].get(DOWN)
        if not isinstance(up, Qdisc) or not isinstance(down, Qdisc):
            return None
        places.append((inside, [_requests(up, others[name].get(UP), rtnetlink.find_index(INTERFACE, inside))]))
        places[0][1].append(_requests(down, others[name].get(DOWN), ports[ends[name]][0]))
    reads, writes = os.pipe()
    child = fork(lambda: _write(writes, places))
    os.close(writes)
    with os.fdopen(reads) as result:
        one_s, all_s = json.load(result)
    os.waitpid(child, 0)
    for channel, _ in places:
        channel.close()
    return Bare(sum(len(some) for _, some in places), one_s, all_s)


def _requests(after: Qdisc, before: object, index: int) -> list[Request]:
    return [form.at(index) for form in after.forms(before) or ()]


def _write(descriptor: int, places: Sequence[tuple[socket.socket, list[list[Request]]]]) -> None:
    gain_priority()
    one_s = max(_one(places) for _ in range(_TIMES))
    all_s = max(_all(places) for _ in range(_TIMES))
    os.write(descriptor, json.dumps([one_s, all_s]).encode())


def _one(places: Sequence[tuple[socket.socket, list[list[Request]]]]) -> float:
    messages = [(channel, requests[0].encode(1, True)) for channel, some in places for requests in some]
    begun = time.monotonic()
    for channel, message in messages:
        channel.sendto(message, (0, 0))
        channel.recv(1 << 16)
    return time.monotonic() - begun


def _all(places: Sequence[tuple[socket.socket, list[list[Request]]]]) -> float:
    begun = time.monotonic()
    for channel, some in places:
        netlink.ask_all([request for requests in some for request in requests], channel)
    return time.monotonic() - begun
