"""Drops and retransmits, as the kernel and the back end count them."""

from __future__ import annotations

import json
import socket
import struct

from fedsim_runner.agent.host import programs
from fedsim_runner.agent.kernel import netns
from fedsim_runner.agent.links.network.wiring import end_name
from fedsim_runner.contract.link import INTERFACE

from .bench import Bench

_TOTAL_RETRANSMITS, _BYTES_ACKED = 100, 120  # where they begin in struct tcp_info


def retransmits(sender: socket.socket) -> int:
    """Segments that a connection has sent again."""
    return int(struct.unpack_from("=I", _info(sender), _TOTAL_RETRANSMITS)[0])


def acknowledged(sender: socket.socket) -> int:
    """Bytes that the other end of a connection has acknowledged."""
    return int(struct.unpack_from("=Q", _info(sender), _BYTES_ACKED)[0])


def _info(sender: socket.socket) -> bytes:
    return sender.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)


def drops(bench: Bench, way: str) -> int:
    """Packets dropped on the way: by the qdiscs at both ends, and by whatever else the back end has."""
    source, target = bench.ends(way)
    with netns.inside(bench.lab.namespaces[source]):
        found = _root_drops(INTERFACE)
    with bench.lab.network.inside():
        found += _root_drops(end_name(bench.lab.addresses[target]))
    devices = bench.shaper.counters().get("devices", {})
    return found + int(devices.get(target, {}).get("dropped", 0))


def _root_drops(interface: str) -> int:
    shown = json.loads(programs.run(["tc", "-s", "-json", "qdisc", "show", "dev", interface]))
    return sum(int(entry["drops"]) for entry in shown if entry.get("root"))
