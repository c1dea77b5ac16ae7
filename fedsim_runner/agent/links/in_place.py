"""Changing both ends of veth pairs that are in force, while packets pass.

Everything happens in the calling thread and without a program: one would be started at ordinary priority, and later
than a change is due on a lab host whose processors all compute.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping

from fedsim_runner.contract.link import INTERFACE

from ..host import programs
from . import netns, rtnetlink
from .protocol import Changed, Changes, Failures, Finish, Settings, wait_until
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
) -> Finish:
    """Change root qdiscs and ports in place, at this time of the monotonic clock.

    Raises:
        OSError: the run's namespace is gone.
    """
    wait_until(due_s)
    found, failed = _change(changes, wires, namespaces, network)
    changed = Changed(found, failed, time.monotonic() - due_s)
    return lambda: changed


def _change(
    changes: Mapping[str, Changes], wires: Mapping[str, Wire], namespaces: Mapping[str, str], network: RunNamespace
) -> tuple[dict[str, Settings], Failures]:
    """Change them now; return what the kernel then has of these, and failures, by device."""
    found: dict[str, dict[str, object]] = {name: {} for name in changes}
    failed: Failures = {}
    for name, change in changes.items():
        if UP in change:
            try:
                with netns.inside(namespaces[name]):
                    found[name][UP] = _change_qdisc(INTERFACE, *change[UP])
            except (OSError, programs.CommandError) as error:
                failed[name] = str(error)
    outside = [name for name, change in changes.items() if DOWN in change or PORT in change]
    if not outside:
        return dict(found), failed
    bridges = {bridge for name in outside if PORT in changes[name] and (bridge := wires[name].bridge) is not None}
    with network.inside():
        ports = rtnetlink.ports()
        if not bridges <= ports.keys():
            network.add_bridges(bridges)
            ports = rtnetlink.ports()
        for name in outside:
            end = wires[name].end
            try:
                if PORT in changes[name]:
                    _plug_in(end, wires[name].bridge, ports)
                if DOWN in changes[name]:
                    found[name][DOWN] = _change_qdisc(end, *changes[name][DOWN])
            except (OSError, LookupError, programs.CommandError) as error:
                failed[name] = str(error)
        moved = [name for name in outside if PORT in changes[name]]
        for name, bridge in _bridges_of(moved, wires).items() if moved else ():
            found[name][PORT] = bridge
    return dict(found), failed


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


def _change_qdisc(interface: str, before: object, after: object) -> object:
    """Change an interface's root qdisc; return what the kernel then has."""
    found = rtnetlink.find_interface(interface)
    if found is None:
        raise OSError(f"there is no {interface}")
    if isinstance(after, Qdisc):
        changed = after.change(found.index, before)
        if changed is not None:
            return changed
    # One of another form, which only takes the place of the present one: what waits in that is lost.
    assert after is None or isinstance(after, Qdisc)
    run_commands(qdisc_commands(interface, after))
    kinds = [type(after)] if after is not None else []
    return parse_qdiscs([{**entry, "dev": interface} for entry in read_qdiscs(interface)], kinds).get(interface)
