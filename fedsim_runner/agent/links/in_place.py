"""Changing both ends of veth pairs that are in force, while packets pass.

Everything happens without a program: one would be started at ordinary priority, and later than a change is due on a lab
host whose processors all compute. What is to be said to the kernel is prepared before, and then said in a few calls.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial

from fedsim_runner.contract.link import INTERFACE

from ..host import programs
from . import netlink, netns, qdisc_changes, rtnetlink
from .protocol import Changed, Changes, Failures, Finish, Turn, with_made_later
from .root_qdisc import Qdisc, parse_qdiscs, qdisc_commands, read_qdiscs, run_commands
from .run_namespace import RunNamespace
from .veth import DOWN, PORT, UP
from .wiring import Wire

#: The settings that can be changed so.
ITEMS = frozenset({UP, DOWN, PORT})


def change_ends(
    changes: Mapping[str, Changes],
    wires: Mapping[str, Wire],
    namespaces: Mapping[str, str],
    network: RunNamespace,
    due_s: float,
    turn: Turn,
) -> Finish:
    """Prepare to change root qdiscs and ports in place; arguments as of a back end's ``change``.

    Raises:
        OSError: the run's namespace is gone.
    """
    failed: Failures = {}
    inside: list[_Namespace] = []
    for name, change in changes.items():
        if UP in change:
            try:
                place = _Namespace(partial(netns.inside, namespaces[name]))
                inside.append(place)
                place.add(name, UP, INTERFACE, rtnetlink.find_index(INTERFACE, place.channel), *change[UP])
            except OSError as error:
                failed[name] = str(error)
    outside = _Namespace(network.inside) if any({DOWN, PORT} & change.keys() for change in changes.values()) else None
    if outside is not None and any(DOWN in change for change in changes.values()):
        with network.inside():
            ports = rtnetlink.ports()
        for name, change in changes.items():
            end = wires[name].end
            if DOWN in change and end in ports:
                outside.add(name, DOWN, end, ports[end][0], *change[DOWN])
            elif DOWN in change:
                failed[name] = f"there is no {end}"
    places = inside if outside is None else [*inside, outside]

    def finish() -> Changed:
        found: dict[str, dict[str, object]] = {name: {} for name in changes}
        refused = dict(failed)
        with turn() as left:
            for place in places:
                refused |= place.change(left)
            moved = [name for name, change in left.items() if PORT in change]
            if moved:
                refused |= _move_ports(moved, wires, network)
            late_s = time.monotonic() - due_s
            for place in places:
                refused |= place.look(left, found)
                place.channel.close()
            if moved:
                with network.inside():
                    for name, bridge in _bridges_of(moved, wires).items():
                        found[name][PORT] = bridge
        return Changed(with_made_later(found, changes, left), refused, late_s)

    return finish


@dataclass(frozen=True)
class _End:
    """An interface whose root qdisc is to change; ``requests``: how; None: not in place."""

    device: str
    item: str
    interface: str
    index: int
    before: object
    after: object
    requests: list[netlink.Request] | None


class _Namespace:
    """A namespace, and what is to change in it.

    Args:
        inside: enters it.

    Raises:
        OSError: it is gone.
    """

    def __init__(self, inside: Callable[[], contextlib.AbstractContextManager[None]]) -> None:
        self._inside = inside
        self._ends: list[_End] = []
        with inside():
            self.channel = netlink.open_channel()

    def add(self, device: str, item: str, interface: str, index: int, before: object, after: object) -> None:
        """Prepare the change of an interface's root qdisc."""
        requests = after.requests(index, before) if isinstance(after, Qdisc) else None
        self._ends.append(_End(device, item, interface, index, before, after, requests))

    def change(self, left: Mapping[str, Changes]) -> Failures:
        """Change what is left to be changed; return failures by device."""
        failed: Failures = {}
        ends = [end for end in self._ends if end.item in left.get(end.device, {})]
        asked = [(end, request) for end in ends for request in end.requests or ()]
        try:
            refused = netlink.ask_all([request for _, request in asked], self.channel)
        except OSError as error:
            return {end.device: str(error) for end in ends}
        failed |= {asked[place][0].device: str(error) for place, error in refused.items()}
        for end in ends:
            if end.requests is None:
                # One of another form, which only takes the place of the present one: what waits in that is lost.
                assert end.after is None or isinstance(end.after, Qdisc)
                try:
                    with self._inside():
                        run_commands(qdisc_commands(end.interface, end.after))
                except (OSError, programs.CommandError) as error:
                    failed[end.device] = str(error)
        return failed

    def look(self, left: Mapping[str, Changes], found: Mapping[str, dict[str, object]]) -> Failures:
        """Take into ``found`` what the kernel then has; return failures by device."""
        failed: Failures = {}
        ends = [end for end in self._ends if end.item in left.get(end.device, {})]
        try:
            shown = qdisc_changes.show(self.channel) if any(end.requests is not None for end in ends) else {}
        except OSError as error:
            return {end.device: str(error) for end in ends}
        for end in ends:
            try:
                if end.requests is not None and isinstance(end.after, Qdisc):
                    now: object = end.after.read_back(end.index, end.before, shown, self.channel)
                else:
                    with self._inside():
                        now = _read(end.interface, end.after)
                found[end.device][end.item] = now
            except (OSError, programs.CommandError) as error:
                failed[end.device] = str(error)
        return failed


def _read(interface: str, after: object) -> object:
    """What an interface of the calling thread's namespace has, which is to be of this kind."""
    kinds = [type(after)] if isinstance(after, Qdisc) else []
    return parse_qdiscs([{**entry, "dev": interface} for entry in read_qdiscs(interface)], kinds).get(interface)


def _move_ports(devices: Collection[str], wires: Mapping[str, Wire], network: RunNamespace) -> Failures:
    """Make each device's end a port of its bridge; return failures by device."""
    failed: Failures = {}
    bridges = {bridge for name in devices if (bridge := wires[name].bridge) is not None}
    with network.inside():
        ports = rtnetlink.ports()
        if not bridges <= ports.keys():
            network.add_bridges(bridges)
            ports = rtnetlink.ports()
        for name in devices:
            try:
                _plug_in(wires[name].end, wires[name].bridge, ports)
            except (OSError, LookupError) as error:
                failed[name] = str(error)
    return failed


def _bridges_of(devices: Collection[str], wires: Mapping[str, Wire]) -> dict[str, str | None]:
    """The bridge of which each device's end is a port now."""
    ports = rtnetlink.ports()
    names: dict[int | None, str] = {index: name for name, (index, _, _) in ports.items()}
    ends = {name: ports[wires[name].end] for name in devices if wires[name].end in ports}
    return {name: names.get(bridge) if up else None for name, (_, up, bridge) in ends.items()}


def _plug_in(end: str, bridge: str | None, ports: Mapping[str, tuple[int, bool, int | None]]) -> None:
    index, up, _ = ports[end]
    rtnetlink.set_bridge(index, None if bridge is None else ports[bridge][0])
    if not up and bridge is not None:
        rtnetlink.set_up(index)
