"""The VXLAN devices of a run on one lab host: a port of the run's bridge, and one of each partition's.

The kernel makes them in the run's namespace while their UDP socket stays in the lab host's, where they are made from.
They end with the run's namespace, so that nothing of them is left behind whatever becomes of the agent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fedsim_runner.contract.lab_network import IDS

from ..host import programs
from ..kernel import netns, rtnetlink
from ..kernel.forwarding import read_forwarding, set_forwarding
from ..links.changes import Failures
from ..links.network.run_namespace import RunNamespace, without_ipv6
from ..links.network.wiring import bridge_name, crossing_bridge, mac_address, vxlan_name
from .members import PREFIX
from .receive_offload import turn_off_gro

#: The bridge of all devices that are in no partition.
BRIDGE = bridge_name(0)
#: What goes over it has a known place, or goes nowhere.
_SILENT = ["type", "bridge_slave", "learning", "off", "flood", "off", "mcast_flood", "off", "bcast_flood", "off"]


@dataclass(frozen=True)
class Tunnel:
    """What the VXLAN devices of a run are on one lab host.

    Attributes:
        run: its id.
        vxlan_id: the first of its ids.
        port: UDP port of all lab hosts.
        mtu: of the run's devices.
        address: at which this lab host receives.
        own: this lab host's address on the run's network.
        behind: by MAC address, the address of the lab host that carries a device, or that has it itself.
        peers: by IP address, the MAC addresses of devices on other lab hosts.
        lab_hosts: by IP address on the run's network, the MAC addresses of other lab hosts.
        only_edges: devices reach those of other lab hosts over edges alone.
    """

    run: str
    vxlan_id: int
    port: int
    mtu: int
    address: str
    own: str
    behind: Mapping[str, str] = field(repr=False)
    peers: Mapping[str, str] = field(repr=False)
    lab_hosts: Mapping[str, str] = field(repr=False)
    only_edges: bool = False


def id_of(bridge: str, first: int) -> int:
    """The VXLAN id for a bridge: the run's first for its own, and for a partition's one that follows from its name.

    The one after it is for what takes edges there.
    """
    plain = bridge.removeprefix("w")
    number = 0 if plain == BRIDGE else 1 + int(plain[1:].partition("-")[0], 16) % (IDS // 2 - 1)
    return first + 2 * number + (bridge != plain)


def frees(ids: Iterable[int], port: int, address: str, network: RunNamespace) -> list[int]:
    """Which of these VXLAN ids nobody uses on this lab host: the kernel makes a device with each, for a moment.

    Args:
        ids: to be tried, in this order.
        port: UDP port.
        address: of this lab host.
        network: where the devices are made.
    """
    found = []
    for number in ids:
        try:
            _make("xtrial", number, port, address, 1400, network)
        except programs.CommandError as error:
            if "exists" in str(error.said):
                continue
            raise
        with network.inside():
            programs.run(["ip", "link", "del", "dev", "xtrial"])
        found.append(number)
    return found


class Vxlan:
    """Makes and reads the run's VXLAN devices.

    Args:
        network: the run's namespace.
        tunnel: what they are.
        underlay: path of the namespace whose network carries them.
    """

    def __init__(self, network: RunNamespace, tunnel: Tunnel, underlay: str) -> None:
        self._network = network
        self.tunnel = tunnel
        self._underlay = underlay

    def differences(self) -> list[str]:
        """What of the run's own device is not as it has to be; for people."""
        tunnel, name = self.tunnel, vxlan_name(BRIDGE)
        found = read_device(name, self._network)
        if found is None:
            return [f"{name} is missing"]
        wanted = {
            "VXLAN id": tunnel.vxlan_id,
            "UDP port": tunnel.port,
            "address": tunnel.address,
            "MTU": tunnel.mtu,
            "bridge": BRIDGE,
            "up": True,
        }
        differing = [f"{key} is {found[key]}, not {value}" for key, value in wanted.items() if found[key] != value]
        with self._network.inside():
            if read_forwarding(found["index"]) != tunnel.behind:
                differing.append("forwarding entries differ")
        return differing

    def join(self) -> None:
        """Make the run's own device afresh.

        Raises:
            CommandError: the kernel refuses it.
            OSError: the run's namespace is gone.
        """
        name, crossing = vxlan_name(BRIDGE), crossing_bridge(BRIDGE)
        self._network.batch([(None, ["link", "del", "dev", one]) for one in (name, vxlan_name(crossing))])
        again = [crossing] if crossing in self._network.ends() else []
        failed = self._network.add_bridges([BRIDGE]) or self.connect([BRIDGE, *again])
        if failed:
            raise programs.CommandError(f"VXLAN device {name}", said="; ".join(failed.values()))
        tunnel = self.tunnel
        with self._network.inside():
            bridge = rtnetlink.find_interface(BRIDGE)
            assert bridge is not None
            # Set by hand, it stays when ports come and go.
            rtnetlink.set_mac(bridge.index, mac_address(tunnel.own))
            rtnetlink.add_address(bridge.index, f"{tunnel.own}/{PREFIX}")
            rtnetlink.set_neighbours(bridge.index, tunnel.lab_hosts)

    def connect(self, bridges: Iterable[str]) -> Failures:
        """Give these bridges a VXLAN device where they have none; return failures by bridge."""
        failed: Failures = {}
        for bridge in sorted(bridges):
            name = vxlan_name(bridge)
            try:
                with self._network.inside():
                    if rtnetlink.find_interface(name) is not None:
                        continue
                self._connect(bridge, name)
            except (OSError, programs.CommandError) as error:
                failed[bridge] = str(error)
        return failed

    def _connect(self, bridge: str, name: str) -> None:
        tunnel = self.tunnel
        with netns.inside(self._underlay):
            _make(name, id_of(bridge, tunnel.vxlan_id), tunnel.port, tunnel.address, tunnel.mtu, self._network)
        with self._network.inside():
            made = rtnetlink.find_interface(name)
            assert made is not None
            set_forwarding(made.index, tunnel.behind)
            rtnetlink.set_neighbours(made.index, tunnel.peers)
            turn_off_gro(name)
        lines = [*without_ipv6(name, name), (name, ["link", "set", "dev", name, "alias", tunnel.run])]
        lines.append((name, ["link", "set", "dev", name, "master", bridge, "up"]))
        is_crossing = bridge == crossing_bridge(bridge.removeprefix("w"))
        if is_crossing:
            lines.append((name, ["link", "set", "dev", name, *_SILENT]))
        elif tunnel.only_edges:
            lines.append((name, ["link", "set", "dev", name, "type", "bridge_slave", "isolated", "on"]))
        failed = self._network.batch(lines)
        if failed:
            raise OSError("; ".join(failed.values()))
        if is_crossing:
            entries = [f"fdb replace {mac} dev {name} master static sticky\n" for mac in tunnel.behind]
            with self._network.inside():
                programs.run(["bridge", "-batch", "-"], stdin="".join(entries))


def read_device(name: str, network: RunNamespace) -> dict[str, Any] | None:
    """What a VXLAN device is; None: there is none."""
    with network.inside():
        try:
            shown = json.loads(programs.run(["ip", "-json", "-details", "link", "show", "dev", name]))[0]
        except programs.CommandError:
            return None
    data = shown.get("linkinfo", {}).get("info_data", {})
    return {
        "index": shown["ifindex"],
        "VXLAN id": data.get("id"),
        "UDP port": data.get("port"),
        "address": data.get("local"),
        "MTU": shown.get("mtu"),
        "bridge": shown.get("master"),
        "up": "UP" in shown.get("flags", ()),
    }


def _make(name: str, vxlan_id: int, port: int, address: str, mtu: int, network: RunNamespace) -> None:
    """Make a device in the run's namespace, from that of the calling thread, which carries what it sends."""
    assert network.path is not None
    kind = ["type", "vxlan", "id", str(vxlan_id), "local", address, "dstport", str(port), "nolearning", "proxy"]
    programs.run(["ip", "link", "add", "name", name, "mtu", str(mtu), "netns", network.path, *kind])
