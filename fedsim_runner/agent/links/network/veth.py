"""The devices' veth pairs: wiring, root qdiscs at both ends, and the size of packets.

``up`` is shaped on the device's own interface (its egress), ``down`` on the other end, in the run's namespace. Those
ends are read in one call and changed in batches.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from fedsim_runner.contract.link import INTERFACE

from ...host import programs
from ...kernel import kernel_qdiscs, rtnetlink
from ...kernel.fan_out import in_each
from ...kernel.root_qdisc import ForeignQdisc, Qdisc, parse_qdiscs, qdisc_commands, read_qdiscs, run_commands
from ..changes import Failures, Settings
from . import routing
from .run_namespace import Line, RunNamespace, without_ipv6
from .ways import Ways
from .wiring import Interface, Neighbours, Wire

PLUGGED, NEIGHBOURS, PORT, WAYS = "interface", "neighbours", "port", "ways"
UP, DOWN = "up", "down"
_MOST_ALIKE = 1000
SEGMENTS = "frames in a packet"  # at most, on entering the qdisc of the device's interface; only 1 can be requested


@dataclass(frozen=True)
class _Inside:
    """A device's own end. ``interface`` None: it has none."""

    interface: rtnetlink.Interface | None
    addresses: tuple[str, ...] = ()
    neighbours: Mapping[str, str] | None = None
    up: Qdisc | ForeignQdisc | None = None
    ways: Ways | None = None


class Veths:
    """Reads and changes both ends of the devices' veth pairs.

    Args:
        kinds: root qdiscs to parse; others are shown by their kind only.
        network: the run's namespace.

    Attributes:
        wires: how each device is to be connected.
    """

    def __init__(self, kinds: Iterable[type[Qdisc]], network: RunNamespace) -> None:
        self._kinds = tuple(kinds)
        self._network = network
        self.wires: Mapping[str, Wire] = {}
        self._shown: dict[str, tuple[tuple[bytes, ...], Qdisc | ForeignQdisc | None]] = {}  # of each device
        self._alike: dict[tuple[bytes, ...], Qdisc | ForeignQdisc | None] = {}  # with delays that are moved

    def plan(self) -> dict[str, Settings]:
        """The settings that connect each device. Pure."""
        return {
            name: {PLUGGED: wire.interface, NEIGHBOURS: wire.neighbours, PORT: wire.bridge, WAYS: wire.ways}
            for name, wire in self.wires.items()
        }

    def read(self, namespaces: Mapping[str, str]) -> tuple[dict[str, Settings], Failures]:
        """Read the kernel's settings for each device; one that is not connected to the run's network has none."""
        inside, failed = in_each(namespaces, self._read_inside)
        ends = self._network.ends()
        downs: Mapping[str, Qdisc | ForeignQdisc] = {}
        if ends:
            with self._network.inside():
                downs = parse_qdiscs(read_qdiscs(), self._kinds)
        found: dict[str, Settings] = {}
        for name, seen in inside.items():
            interface, end = seen.interface, ends.get(self.wires[name].end)
            if interface is None or end is None or (interface.peer, interface.index) != (end.index, end.peer):
                found[name] = dict.fromkeys((PLUGGED, NEIGHBOURS, PORT, WAYS, UP, DOWN, SEGMENTS))
                continue
            found[name] = {
                PLUGGED: Interface(interface.mac, seen.addresses, interface.up, interface.mtu),
                NEIGHBOURS: Neighbours(seen.neighbours or {}),
                PORT: end.bridge if end.up else None,
                WAYS: seen.ways,
                UP: seen.up,
                DOWN: downs.get(self.wires[name].end),
                SEGMENTS: interface.segments,
            }
        return found, failed

    def traces(self, namespaces: Mapping[str, str], trace: Callable[[], object]) -> dict[str, object]:
        """What differs once somebody has changed a device's link, by device; one that cannot be read has none.

        Args:
            namespaces: path of each device's network namespace.
            trace: what else there is, read in each of them.

        Raises:
            OSError: the run's namespace is gone.
        """

        def look(name: str) -> object:
            interface = rtnetlink.find_interface(INTERFACE)
            if interface is None:
                return None
            index = interface.index
            ways = routing.read_ways(index) if self.wires[name].ways is not None else None
            return interface, rtnetlink.addresses(index), kernel_qdiscs.raw_qdiscs(index), ways, trace()

        inside, _ = in_each(namespaces, look, workers=1)
        ends = self._network.traces()
        of_devices = {wire.end for wire in self.wires.values()}
        bridges = {name: end for name, end in ends.items() if name not in of_devices}
        return {name: (seen, ends.get(self.wires[name].end), bridges) for name, seen in inside.items()}

    def plug(self, changes: Mapping[str, Settings], namespaces: Mapping[str, str]) -> Failures:
        """Give devices their interface, address and neighbours; nothing passes before :meth:`connect`."""
        concerned = [name for name, change in changes.items() if {PLUGGED, NEIGHBOURS, WAYS} & change.keys()]
        if not concerned:
            return {}
        failed = self._add_pairs(concerned, namespaces)

        def set_up(name: str) -> None:
            wire, interface = self.wires[name], rtnetlink.find_interface(INTERFACE)
            if interface is None:
                raise LookupError(f"it has no {INTERFACE}")
            if interface.mac != wire.interface.mac:
                rtnetlink.set_mac(interface.index, wire.interface.mac)
            if interface.mtu != wire.interface.mtu:
                rtnetlink.set_mtu(interface.index, wire.interface.mtu)
            if not interface.up:
                rtnetlink.set_up(interface.index)
            active = rtnetlink.addresses(interface.index)
            for address in active:
                if address not in wire.interface.addresses:
                    rtnetlink.delete_address(interface.index, address)
            for address in wire.interface.addresses:
                if address not in active:
                    rtnetlink.add_address(interface.index, address)
            rtnetlink.set_neighbours(interface.index, wire.neighbours.macs)
            if WAYS in changes[name] or (PLUGGED in changes[name] and wire.ways is not None):
                routing.set_ways(interface.index, INTERFACE, wire.ways)

        _, also_failed = in_each({name: namespaces[name] for name in concerned if name not in failed}, set_up)
        return {**failed, **also_failed}

    def shape(self, changes: Mapping[str, Settings], namespaces: Mapping[str, str]) -> Failures:
        """Set qdiscs and the size of packets; a qdisc of None is removed."""

        def change(name: str) -> None:
            wanted, interface = changes[name], rtnetlink.find_interface(INTERFACE)
            if interface is None:
                raise LookupError(f"it has no {INTERFACE}")
            if UP in wanted:
                run_commands(qdisc_commands(INTERFACE, interface.index, _qdisc(wanted[UP])))
            if SEGMENTS in wanted:
                rtnetlink.set_segments(interface.index, 1)

        inside = [name for name, wanted in changes.items() if UP in wanted or SEGMENTS in wanted]
        _, failed = in_each({name: namespaces[name] for name in inside}, change)
        ends, commands = self._network.ends(), {}
        for name in (name for name, wanted in changes.items() if DOWN in wanted and name not in failed):
            end = ends.get(self.wires[name].end)
            if end is None:
                failed[name] = f"there is no {self.wires[name].end}"
                continue
            commands[name] = qdisc_commands(self.wires[name].end, end.index, _qdisc(changes[name][DOWN]))
        if commands:
            with self._network.inside():
                failed |= _run_batch(commands)
        return failed

    def connect(self, changes: Mapping[str, Settings], namespaces: Mapping[str, str]) -> Failures:
        """Make the lab host's ends ports of their bridges: packets pass from now on."""
        wanted = {name: self.wires[name].bridge for name, change in changes.items() if PORT in change}
        if not wanted:
            return {}
        broken = self._network.add_bridges({bridge for bridge in wanted.values() if bridge is not None})
        failed = {name: broken[bridge] for name, bridge in wanted.items() if bridge in broken}
        lines: list[Line] = [
            (
                name,
                ["link", "set", "dev", self.wires[name].end, *(["master", bridge, "up"] if bridge else ["nomaster"])],
            )
            for name, bridge in wanted.items()
            if name not in failed
        ]
        return {**failed, **self._network.batch(lines)}

    def _read_inside(self, name: str) -> _Inside:
        interface = rtnetlink.find_interface(INTERFACE)
        if interface is None:
            return _Inside(None)
        return _Inside(
            interface,
            tuple(rtnetlink.addresses(interface.index)),
            rtnetlink.permanent_neighbours(interface.index),
            self._read_up(name, interface.index),
            routing.read_ways(interface.index),
        )

    def _read_up(self, name: str, index: int) -> Qdisc | ForeignQdisc | None:
        """The qdisc on the device's interface. ``tc`` explains it only if the kernel's own form is a new one.

        A program for each of hundreds of devices would take most of the time of reading their links.
        """
        raw = kernel_qdiscs.raw_qdiscs(index)
        shown = self._shown.get(name)
        if shown is None or shown[0] != raw:
            shown = self._shown[name] = raw, self._explain(index)
        return shown[1]

    def _explain(self, index: int) -> Qdisc | ForeignQdisc | None:
        """The qdisc on a device's interface, as that of another device that is alike, or from ``tc``."""
        alike = self._alike  # other threads take another one's place
        now = kernel_qdiscs.raw_qdiscs(index, moved_delays=True)
        if now in alike:
            return alike[now]
        entries = [{**entry, "dev": INTERFACE} for entry in read_qdiscs(INTERFACE)]
        qdisc = parse_qdiscs(entries, self._kinds).get(INTERFACE)
        if kernel_qdiscs.raw_qdiscs(index, moved_delays=True) == now:  # else its delay was moved in between
            self._alike = {**(alike if len(alike) < _MOST_ALIKE else {}), now: qdisc}  # traces have ever new ones
        return qdisc

    def _add_pairs(self, names: Collection[str], namespaces: Mapping[str, str]) -> Failures:
        """Make the pairs that are missing. An interface of another origin, or an end left behind, is removed."""
        ends = self._network.ends()

        def is_missing(name: str) -> bool:
            interface, end = rtnetlink.find_interface(INTERFACE), ends.get(self.wires[name].end)
            if interface is None:
                return True
            if end is not None and (interface.peer, interface.index) == (end.index, end.peer):
                return False
            rtnetlink.delete_interface(interface.index)
            return True

        missing, failed = in_each({name: namespaces[name] for name in names}, is_missing)
        lines: list[Line] = []
        for name in (name for name, is_so in missing.items() if is_so):
            wire = self.wires[name]
            if wire.end in ends:
                # Of a container that has ended: the kernel removes it with the namespace, which takes a while.
                lines.append((None, ["link", "del", "dev", wire.end]))
            pair = ["type", "veth", "peer", "name", INTERFACE, "address", wire.interface.mac, "netns", namespaces[name]]
            lines.append((name, ["link", "add", "name", wire.end, *pair]))
            lines.append((name, ["link", "set", "dev", wire.end, "alias", name]))
            lines += without_ipv6(name, wire.end)
        return {**failed, **self._network.batch(lines)}


def _qdisc(wanted: object) -> Qdisc | None:
    assert wanted is None or isinstance(wanted, Qdisc)
    return wanted


def _run_batch(commands: Mapping[str, list[list[str]]]) -> Failures:
    failed: Failures = {}
    try:
        run_commands([line for lines in commands.values() for line in lines])
    except programs.CommandError:
        # A batch stops at its first error without naming the device: run them device by device.
        for name, lines in commands.items():
            try:
                run_commands(lines)
            except programs.CommandError as error:
                failed[name] = str(error)
    return failed
