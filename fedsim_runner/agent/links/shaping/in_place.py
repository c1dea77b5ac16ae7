"""Changing both ends of veth pairs that are in force, while packets pass.

Everything happens without a program: one would be started at ordinary priority, and later than a change is due on a lab
host whose processors all compute. What is to be said to the kernel is prepared before, and then said in a few calls by
a process that does nothing else (agent/changing/).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from fedsim_runner.contract.link import INTERFACE

from ...changing.changer import Changer
from ...changing.due_requests import Part
from ...changing.requests import RUN
from ...host import programs
from ...kernel import netlink, netns, qdisc_changes, rtnetlink
from ...kernel.fan_out import give_way
from ...kernel.root_qdisc import Qdisc, parse_qdiscs, qdisc_commands, read_qdiscs, run_commands
from ..changes import Changed, Changes, Failures, Finish, Turn, with_made_later
from ..network.run_namespace import RunNamespace
from ..network.veth import DOWN, PORT, UP
from ..network.wiring import Wire

#: The settings that can be changed so.
ITEMS = frozenset({UP, DOWN, PORT})


@dataclass(frozen=True)
class _End:
    """An interface whose root qdisc is to change.

    Attributes:
        where: the device in whose namespace it is, or the run's.
        path: of that.
        forms: how; None: not in place.
    """

    device: str
    item: str
    where: str
    path: str
    interface: str
    index: int
    before: object
    after: object
    forms: Sequence[netlink.Form] | None

    @property
    def part(self) -> Part:
        return Part(self.device, self.item, self.where, self.index, self.forms or ())


def change_ends(
    changes: Mapping[str, Changes],
    wires: Mapping[str, Wire],
    namespaces: Mapping[str, str],
    network: RunNamespace,
    due_s: float,
    turn: Turn,
    changer: Changer,
    reads_back: bool = True,
) -> Finish:
    """Prepare to change root qdiscs and ports in place; other arguments as of a back end's ``change``.

    Args:
        changer: makes the changes.
        reads_back: whether to look at what the kernel then has; it says by itself what it refuses.

    Raises:
        OSError: the run's namespace is gone.
    """
    failed = _follow(changes, namespaces, network, changer)
    ends, moves, not_there = _prepare(changes, wires, namespaces, network, changer, failed)
    failed |= not_there
    parts = [*(end.part for end in ends if end.forms is not None), *moves]
    number = None
    try:
        number = changer.begin(due_s, parts) if parts else None
    except OSError as error:
        failed |= {part.device: str(error) for part in parts}

    def finish() -> Changed:
        made: set[tuple[str, str]] = set()
        refused, late_s = dict(failed), 0.0
        if number is not None:
            try:
                outcome = changer.see(number)
            except OSError as error:
                return Changed({}, failed | {part.device: str(error) for part in parts})
            refused |= outcome.refused
            made, late_s = set(outcome.made), outcome.late_s
        with turn() as left:
            # Those of another form, which only take the place of the present ones: what waits in these is lost.
            others = [end for end in ends if end.forms is None and end.item in left.get(end.device, {})]
            refused |= _replace(others)
            late_s = max(late_s, time.monotonic() - due_s) if others else late_s

        def look() -> Changed:
            found: dict[str, dict[str, object]] = {name: {} for name in changes}
            unread = dict(refused)
            changed = [end for end in ends if (end.device, end.item) in made]
            if reads_back:
                unread |= _look(changed, changer, found)
            else:
                for end in changed:
                    found[end.device][end.item] = end.after
            unread |= _look_at_new(others, found)
            moved = [part.device for part in moves if (part.device, PORT) in made]
            if moved:
                with network.inside():
                    for name, bridge in _bridges_of(moved, wires).items():
                        found[name][PORT] = bridge
            done = made | {(end.device, end.item) for end in others}
            still = {
                name: {item: pair for item, pair in change.items() if (name, item) in done or name in unread}
                for name, change in changes.items()
            }
            return Changed(with_made_later(found, changes, still), unread, late_s)

        return Changed({}, refused, late_s, look)

    return finish


def _follow(
    changes: Mapping[str, Changes], namespaces: Mapping[str, str], network: RunNamespace, changer: Changer
) -> Failures:
    """Be ready to change what is to change; mostly that is so already."""
    places = {name: namespaces[name] for name, change in changes.items() if UP in change}
    if network.path is None:
        raise FileNotFoundError("no container holds the run's network")
    if any({DOWN, PORT} & change.keys() for change in changes.values()):
        places[RUN] = network.path
    failed = changer.follow({name: places[name] for name in changer.lacks(places)})
    if RUN in failed:
        raise OSError(failed[RUN])
    return failed


def _prepare(
    changes: Mapping[str, Changes],
    wires: Mapping[str, Wire],
    namespaces: Mapping[str, str],
    network: RunNamespace,
    changer: Changer,
    failed: Failures,
) -> tuple[list[_End], list[Part], Failures]:
    """What is to be said to the kernel: of qdiscs and of ports; and what is not there, by device."""
    ends: list[_End] = []
    moves: list[Part] = []
    missing: Failures = {}
    moved = [name for name, change in changes.items() if PORT in change]
    ports = _ports(network, {bridge for name in moved if (bridge := wires[name].bridge) is not None}) if moved else {}
    for name, change in changes.items():
        if name in failed:
            continue
        end = wires[name].end
        if UP in change:
            index = changer.place(name).index
            assert index is not None
            ends.append(_end(name, UP, name, namespaces[name], INTERFACE, index, *change[UP]))
        if DOWN in change:
            index = changer.index_of(end)
            if index is None:
                missing[name] = f"there is no {end}"
                continue
            assert network.path is not None
            ends.append(_end(name, DOWN, RUN, network.path, end, index, *change[DOWN]))
        if PORT in change:
            bridge = wires[name].bridge
            if gone := [one for one in (end, bridge) if one is not None and one not in ports]:
                missing[name] = f"there is no {gone[0]}"
                continue
            index, up, _ = ports[end]
            forms = [rtnetlink.bridge_form(None if bridge is None else ports[bridge][0])]
            forms += rtnetlink.up_forms() if bridge is not None and not up else []
            moves.append(Part(name, PORT, RUN, index, forms))
    return ends, moves, missing


def _end(
    device: str, item: str, where: str, path: str, interface: str, index: int, before: object, after: object
) -> _End:
    forms = after.forms(before) if isinstance(after, Qdisc) else None
    return _End(device, item, where, path, interface, index, before, after, forms)


def _ports(network: RunNamespace, bridges: Collection[str]) -> Mapping[str, tuple[int, bool, int | None]]:
    """The interfaces of the run's namespace, with these bridges."""
    with network.inside():
        ports = rtnetlink.ports()
    if not set(bridges) <= ports.keys():
        network.add_bridges(bridges)
        with network.inside():
            ports = rtnetlink.ports()
    return ports


def _replace(ends: Sequence[_End]) -> Failures:
    """Put qdiscs in the place of others; return failures by device."""
    failed: Failures = {}
    for end in ends:
        assert end.after is None or isinstance(end.after, Qdisc)
        try:
            with netns.inside(end.path):
                run_commands(qdisc_commands(end.interface, end.index, end.after))
        except (OSError, programs.CommandError) as error:
            failed[end.device] = str(error)
    return failed


def _look(changed: Sequence[_End], changer: Changer, found: Mapping[str, dict[str, object]]) -> Failures:
    """Take into ``found`` what the kernel has of qdiscs that were changed; return failures by device."""
    failed: Failures = {}
    shown: dict[str, qdisc_changes.Shown] = {}
    for end in changed:
        give_way()
        try:
            channel = changer.place(end.where).channel
            if end.where not in shown:
                shown[end.where] = qdisc_changes.show(channel)
            assert isinstance(end.after, Qdisc)
            found[end.device][end.item] = end.after.read_back(end.index, end.before, shown[end.where], channel)
        except (OSError, LookupError) as error:  # it has ended meanwhile
            failed[end.device] = str(error)
    return failed


def _look_at_new(replaced: Sequence[_End], found: Mapping[str, dict[str, object]]) -> Failures:
    """Take into ``found`` what the kernel has in the place of other qdiscs; return failures by device."""
    failed: Failures = {}
    for end in replaced:
        try:
            with netns.inside(end.path):
                found[end.device][end.item] = _read(end.interface, end.after)
        except (OSError, programs.CommandError) as error:
            failed[end.device] = str(error)
    return failed


def _read(interface: str, after: object) -> object:
    """What an interface of the calling thread's namespace has, which is to be of this kind."""
    kinds = [type(after)] if isinstance(after, Qdisc) else []
    return parse_qdiscs([{**entry, "dev": interface} for entry in read_qdiscs(interface)], kinds).get(interface)


def _bridges_of(devices: Collection[str], wires: Mapping[str, Wire]) -> dict[str, str | None]:
    """The bridge of which each device's end is a port now."""
    ports = rtnetlink.ports()
    names: dict[int | None, str] = {index: name for name, (index, _, _) in ports.items()}
    ends = {name: ports[wires[name].end] for name in devices if wires[name].end in ports}
    return {name: names.get(bridge) if up else None for name, (_, up, bridge) in ends.items()}
