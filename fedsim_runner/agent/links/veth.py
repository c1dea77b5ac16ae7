"""The two ends of the devices' veth pairs: their root qdiscs, and segmentation offload.

``up`` is shaped on the device's own interface (its egress), ``down`` on the lab host's side of the pair. The host's
side of all pairs is read in one call and changed with one ``tc -batch``.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping

from fedsim_runner.contract.link import INTERFACE

from ..host import programs
from . import netns
from .fan_out import in_each
from .protocol import Failures, Settings
from .root_qdisc import ForeignQdisc, Qdisc, parse_qdiscs, qdisc_arguments, read_qdiscs

UP, DOWN = "up", "down"
OFFLOAD = "segmentation offload"  # on the device's interface; only "off" can be requested


class Veths:
    """Reads and changes both ends of the devices' veth pairs.

    Args:
        kinds: root qdiscs to parse; others are shown by their kind only.
    """

    def __init__(self, kinds: Iterable[type[Qdisc]]) -> None:
        self._kinds = tuple(kinds)

    def read(self, namespaces: Mapping[str, str]) -> tuple[dict[str, Settings], Failures]:
        """Read the kernel's settings for each device."""
        inside, failed = in_each(namespaces, self._read_inside)
        active = parse_qdiscs(read_qdiscs(), self._kinds)
        found: dict[str, Settings] = {}
        for name, (up, offload, peer) in inside.items():
            try:
                host_end = _host_end(peer)
            except OSError as error:
                failed[name] = str(error)
            else:
                found[name] = {UP: up, DOWN: active.get(host_end), OFFLOAD: "on" if offload else "off"}
        return found, failed

    def apply(self, changes: Mapping[str, Settings], namespaces: Mapping[str, str]) -> Failures:
        """Make the changes; a qdisc of None is removed."""

        def change(name: str) -> int:
            wanted = changes[name]
            if UP in wanted:
                programs.run(["tc", *qdisc_arguments(INTERFACE, _qdisc(wanted[UP]))])
            if OFFLOAD in wanted:
                netns.set_segmentation_offload(INTERFACE, False)
            return netns.peer_index(INTERFACE)

        peers, failed = in_each({name: namespaces[name] for name in changes}, change)
        commands: dict[str, list[str]] = {}
        for name, peer in peers.items():
            if DOWN in changes[name]:
                try:
                    commands[name] = qdisc_arguments(_host_end(peer), _qdisc(changes[name][DOWN]))
                except OSError as error:
                    failed[name] = str(error)
        return {**failed, **_run_batch(commands)}

    def _read_inside(self, _name: str) -> tuple[Qdisc | ForeignQdisc | None, bool, int]:
        entries = [{**entry, "dev": INTERFACE} for entry in read_qdiscs(INTERFACE)]
        up = parse_qdiscs(entries, self._kinds).get(INTERFACE)
        return up, netns.segmentation_offload(INTERFACE), netns.peer_index(INTERFACE)


def _qdisc(wanted: object) -> Qdisc | None:
    assert wanted is None or isinstance(wanted, Qdisc)
    return wanted


def _host_end(peer: int) -> str:
    try:
        return socket.if_indextoname(peer)
    except OSError as error:
        raise OSError(f"the other end of its veth pair (interface {peer}) is not on this host") from error


def _run_batch(commands: Mapping[str, list[str]]) -> Failures:
    failed: Failures = {}
    if not commands:
        return failed
    try:
        programs.run(["tc", "-batch", "-"], stdin="".join(" ".join(line) + "\n" for line in commands.values()))
    except programs.CommandError:
        # A batch stops at its first error without naming the device: run the commands one by one.
        for name, line in commands.items():
            try:
                programs.run(["tc", *line])
            except programs.CommandError as error:
                failed[name] = str(error)
    return failed
