"""The process that measures links: it sends and receives in the namespaces of the devices, the meter and its like.

One process, so that one clock tells when a packet was sent and when it arrived. It works for the agent: what to do
comes on standard input, one JSON object, and what was found goes to standard output, one for each flow.

The meter is a further end of the run's network, with a link that nothing limits. A device's uplink is measured by what
it sends to the meter, its downlink by what it gets from there: no other device's link is on the way. An edge has such
an end at each of its two sites, and is measured by what one sends to the other.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import gc
import heapq
import json
import os
import resource
import select
import socket
import statistics
import struct
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fedsim_runner.agent.kernel import netns
from fedsim_runner.contract.link import INTERFACE, Link

from .estimate import Seen, estimate
from .schedule import HEADER_BYTES, PROBE_BYTES, Flow, Target, Train, wire_s

PORT = 47_913
_PROBE, _TRAIN, _WARM_UP = 0, 1, 2
_HEAD = struct.Struct("=IIB")  # number of the flow, of the packet, and of which kind it is
_BUFFER_BYTES = 32 << 20
_CARRIER_S = 1.5  # until a port passes packets, and some more
_WARM_UP_EVERY_S = 0.05
_LONGEST_WARM_UP_S = 4.0
_LARGEST_BYTES = 65_535
_SENT_AT_ONCE = 16  # before it looks for what has arrived
_RECEIVED_AT_ONCE = 64
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
_SOL_UDP, _UDP_SEGMENT, _UDP_GRO = 17, 103, 104
_SIOCDARP, _SIOCSARP, _PERMANENT, _COMPLETE = 0x8953, 0x8955, 0x04, 0x02
_ETHER = 1
_NICE = -15


@dataclass(frozen=True)
class End:
    """Where packets are sent and received: the path of a namespace, its address there, and its interface's.

    ``is_guest``: it is none of the run's devices, and ends with the measurement.
    """

    netns: str
    address: str
    mac: str
    is_guest: bool = False


class Prober:
    """Sends what is due and takes note of what arrives.

    Args:
        ends: by the names that flows have for them.
        flows: what to send, and when.
        clock: seconds, for all times.
    """

    def __init__(
        self,
        ends: Mapping[str, End],
        flows: list[Flow],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._flows = flows
        self.seen = [Seen() for _ in flows]
        self.late_s: list[float] = []
        self._silent: set[int] = set()  # flows of which nothing has arrived yet
        self._poll = select.epoll()
        receivers: dict[str, dict[str, End]] = {name: {} for name in ends}
        for flow in flows:
            receivers[flow.target.sender][flow.target.receiver] = ends[flow.target.receiver]
        self._sockets: dict[str, socket.socket] = {}
        self._known: list[tuple[socket.socket, End]] = []  # to devices, by a socket of each
        try:
            for name, end in ends.items():
                self._sockets[name] = channel = _open(end)
                for other in receivers[name].values():
                    _change_neighbour(channel, other, _SIOCSARP)
                    self._known += [] if end.is_guest else [(channel, other)]
        except OSError:
            self.close()
            raise
        self._by_descriptor = {one.fileno(): one for one in self._sockets.values()}
        for descriptor in self._by_descriptor:
            self._poll.register(descriptor, select.EPOLLIN)
        self._ways = [(self._sockets[flow.target.sender], (ends[flow.target.receiver].address, PORT)) for flow in flows]
        self._due: list[tuple[float, int, int, int]] = []  # when, flow, kind, number

    def wait_for_links(self) -> None:
        """Wait until a packet has passed over each link, or has had the time for it.

        A port that was just connected may pass nothing for a second: so rarely does the kernel look at carriers.
        """
        longest_s = max((_longest_s(flow) for flow in self._flows), default=0.0)
        end = self._clock() + min(_CARRIER_S + longest_s, _LONGEST_WARM_UP_S)
        self._silent = set(range(len(self._flows)))
        due = dict.fromkeys(self._silent, 0.0)
        while self._silent and (now := self._clock()) < end:
            for index in self._silent:
                if due[index] <= now:
                    self._send(index, self._flows[index], _WARM_UP, 0, now)
                    due[index] = now + max(_WARM_UP_EVERY_S, _longest_s(self._flows[index]) / 10)
            self._wait(min(min(due[index] for index in self._silent), end))

    def run(self, listen_s: float) -> None:
        """Measure for so many seconds."""
        begun = self._clock()
        for index in range(len(self._flows)):
            self._due.append((begun + self._flows[index].first_s, index, _PROBE, 0))
            if (train := self._flows[index].train) is not None:
                self._due.append((begun + train.start_s, index, _TRAIN, 0))
        heapq.heapify(self._due)
        end = begun + listen_s
        while (now := self._clock()) < end:
            self._send_due(now)
            self._wait(min(self._due[0][0], end) if self._due else end)

    def _wait(self, until: float) -> None:
        """Take note of what arrives; at the latest at ``until`` something else is due."""
        # epoll itself waits in milliseconds; select on it in microseconds.
        if select.select([self._poll.fileno()], [], [], max(0.0, until - self._clock()))[0]:
            for ready, _ in self._poll.poll(0):
                self._receive(self._by_descriptor[ready])

    def close(self) -> None:
        """Leave devices as they were; close all sockets."""
        self._poll.close()
        for channel, other in self._known:
            with contextlib.suppress(OSError):  # the device has ended
                _change_neighbour(channel, other, _SIOCDARP)
        for one in self._sockets.values():
            one.close()

    def _send_due(self, now: float) -> None:
        due = self._due
        for _ in range(_SENT_AT_ONCE):
            if not due or due[0][0] > now:
                return
            at, index, kind, number = due[0]
            flow = self._flows[index]
            following = _next_due(flow, at, kind, number)
            if following is None:
                heapq.heappop(due)
            else:
                heapq.heapreplace(due, (following, index, kind, number + 1))
            self._send(index, flow, kind, number, at)

    def _send(self, index: int, flow: Flow, kind: int, number: int, at: float) -> None:
        channel, address = self._ways[index]
        if kind == _TRAIN and flow.train is not None:
            data, options = _frames(flow.train, index, number)
        else:
            data, options = _HEAD.pack(index, number, kind).ljust(PROBE_BYTES, b"\0"), []
        now = self._clock()
        if kind == _TRAIN:
            self.seen[index].train.append(now)
        elif kind == _PROBE:
            self.late_s.append(now - at)
            self.seen[index].probes.append((now, None))
        # What the kernel does not take does not arrive, and counts as lost.
        with contextlib.suppress(OSError):
            channel.sendmsg([data], options, 0, address)

    def _receive(self, channel: socket.socket) -> None:
        for _ in range(_RECEIVED_AT_ONCE):
            try:
                data = channel.recv(_LARGEST_BYTES)
            except OSError:
                return
            now = self._clock()
            if len(data) < _HEAD.size:
                continue
            index, number, kind = _HEAD.unpack_from(data)
            if index >= len(self._flows):
                continue
            if kind == _WARM_UP:
                self._silent.discard(index)
            seen, train = self.seen[index], self._flows[index].train
            if kind == _TRAIN and train is not None:
                seen.arrivals.append((now, max(1, len(data) // (train.frame_bytes - HEADER_BYTES))))
            elif kind == _PROBE and number < len(seen.probes) and seen.probes[number][1] is None:
                seen.probes[number] = (seen.probes[number][0], now)


def _next_due(flow: Flow, at: float, kind: int, number: int) -> float | None:
    """When the packet after this one is due; None: there is none."""
    if kind == _PROBE:
        return at + flow.gap_s if number + 1 < flow.probes else None
    if kind == _TRAIN and flow.train is not None and number + 1 < flow.train.at_once + flow.train.packets:
        return at if number + 1 < flow.train.at_once else at + flow.train.interval_s
    return None


def _longest_s(flow: Flow) -> float:
    """For how long a small packet may be on its way."""
    link = flow.target.link
    return link.longest_delay_us / 1e6 + wire_s(link, PROBE_BYTES + HEADER_BYTES)


def _frames(train: Train, index: int, number: int) -> tuple[bytes, list[tuple[int, int, bytes]]]:
    """A packet of a train, and what tells the kernel to cut it into frames."""
    each = train.frame_bytes - HEADER_BYTES
    frame = _HEAD.pack(index, number, _TRAIN).ljust(each, b"\0")
    if train.segments == 1:
        return frame, []
    return frame * train.segments, [(_SOL_UDP, _UDP_SEGMENT, struct.pack("=H", each))]


def _open(end: End) -> socket.socket:
    """A socket in an end's namespace.

    Raises:
        OSError: the namespace is gone.
    """
    with netns.inside(end.netns):
        channel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            channel.bind((end.address, PORT))
            for option in (_SO_SNDBUFFORCE, _SO_RCVBUFFORCE):
                channel.setsockopt(socket.SOL_SOCKET, option, _BUFFER_BYTES)
            with contextlib.suppress(OSError):  # Linux 5.0; without it, frames sent together arrive one by one
                channel.setsockopt(_SOL_UDP, _UDP_GRO, 1)
        except BaseException:
            channel.close()
            raise
    return channel


def _change_neighbour(channel: socket.socket, other: End, request: int) -> None:
    """Have the namespace know an interface without asking, or no longer.

    Permanently: of others the kernel has room for 1,024 in all namespaces together (``gc_thresh3``).
    """
    address = struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton(other.address))
    hardware = struct.pack("=H14s", _ETHER, bytes.fromhex(other.mac.replace(":", "")))
    flags = struct.pack("=i16s16s", _COMPLETE | _PERMANENT, b"", INTERFACE.encode())
    fcntl.ioctl(channel, request, address + hardware + flags)


def read_order(text: str) -> tuple[dict[str, End], list[Flow], float]:
    """Return what the agent asks for: the ends, the flows, and for how long to listen."""
    order = json.loads(text)
    flows = [
        Flow(
            Target(**{**one["target"], "link": Link.from_dict(one["target"]["link"])}),
            one["first_s"],
            one["gap_s"],
            one["probes"],
            None if one["train"] is None else Train(**one["train"]),
        )
        for one in order["flows"]
    ]
    return {name: End(**end) for name, end in order["ends"].items()}, flows, order["listen_s"]


def write_order(ends: Mapping[str, End], flows: list[Flow], listen_s: float) -> str:
    """Return the same as text."""
    return json.dumps(
        {
            "ends": {name: dataclasses.asdict(end) for name, end in ends.items()},
            "flows": [dataclasses.asdict(flow) for flow in flows],
            "listen_s": listen_s,
        }
    )


def main() -> int:
    """Read the order, measure, and print what was found."""
    ends, flows, listen_s = read_order(sys.stdin.read())
    with contextlib.suppress(OSError):  # without CAP_SYS_NICE it is only late under load, which it says
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    prober = Prober(ends, flows)
    gc.collect()
    gc.disable()  # nothing here creates cycles, and a collection would delay packets
    try:
        prober.wait_for_links()
        prober.run(listen_s)
    finally:
        prober.close()
    found = [dataclasses.asdict(estimate(flow, seen)) for flow, seen in zip(flows, prober.seen, strict=True)]
    late_us = [late * 1e6 for late in prober.late_s] or [0.0]
    answer = {"late_us": round(statistics.fmean(late_us)), "latest_us": round(max(late_us)), "flows": found}
    print(json.dumps(answer))
    return 0
