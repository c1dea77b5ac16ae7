"""What lies between devices, on a real kernel: edges' delays and rates, who shares them, and who reaches whom.

As test_links.py, the same tests run on this machine's kernel and in a user-mode Linux kernel with netem.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from fedsim_runner.agent.host import programs
from fedsim_runner.agent.kernel import netns
from fedsim_runner.agent.kernel.held_namespaces import HeldNamespaces
from fedsim_runner.agent.links.network import wiring
from fedsim_runner.agent.links.network.wiring import mac_address
from fedsim_runner.agent.links.profile import DeviceLink
from fedsim_runner.contract.link import Link
from fedsim_runner.contract.topology import Edge, Topology
from tests.lab.rig import MBIT, PORT, SLACK_S, Rig, apply, rig, shaped


def both(first: str, second: str, link: Link) -> Edge:
    return Edge(first, second, link, link)


#: ``a`` in eu, ``b`` and ``c`` in us, ``d`` in asia; all three regions are far from each other.
REGIONS = Topology(
    {"a": "eu", "b": "us", "c": "us", "d": "asia"},
    (
        both("eu", "us", Link(2 * MBIT, 40_000)),
        both("asia", "us", Link(delay_us=70_000)),
        Edge("asia", "eu", Link(delay_us=90_000), Link(delay_us=20_000)),
    ),
)


def test_the_delay_depends_on_where_a_packet_goes(backend: str, probed: dict[str, Any]) -> None:
    with rig("a", "b", "c", "d") as lab:
        links = [DeviceLink(name, address, Link(delay_us=5_000), Link()) for name, address in lab.addresses.items()]
        with shaped(lab, links, backend, probed, REGIONS) as shaper:
            apply(shaper, lab)
            expected = {"ab": 45, "ba": 45, "bc": 5, "cd": 75, "dc": 75, "ad": 25, "da": 95}
            for (source, target), ms in expected.items():
                assert min(lab.one_way_s(source, target, 10)) == pytest.approx(ms / 1000, abs=SLACK_S), (source, target)


def test_flows_over_one_edge_share_its_rate(backend: str, probed: dict[str, Any]) -> None:
    with rig("a", "b", "c", "d") as lab, shaped(lab, lab.links(), backend, probed, REGIONS) as shaper:
        apply(shaper, lab)
        alone = rates(lab, ("b", "a"))
        assert alone["ba"] == pytest.approx(2 * MBIT, rel=0.1)
        together = rates(lab, ("b", "a"), ("c", "a"), ("d", "a"))
        assert together["ba"] + together["ca"] == pytest.approx(2 * MBIT, rel=0.1)
        assert min(together["ba"], together["ca"]) > 0.3 * MBIT
        # From another region, and with no rate on the way.
        assert together["da"] == pytest.approx(1.5 * MBIT, rel=0.15)


def test_edges_are_read_back_and_put_back_in_force(backend: str, probed: dict[str, Any]) -> None:
    with rig("a", "b", "c", "d") as lab, shaped(lab, lab.links(), backend, probed, REGIONS) as shaper:
        assert apply(shaper, lab, check=True) == apply(shaper, lab)
        assert not any(result["changed"] for result in apply(shaper, lab).values())
        lab.remove("b")
        lab.add("b")
        assert {name for name, result in apply(shaper, lab).items() if result["changed"]} == {"b"}
        assert min(lab.one_way_s("a", "b", 10)) == pytest.approx(0.040, abs=SLACK_S)
        shaper.find_changes(lab.namespaces)
        if backend == "netem":
            with lab.network.inside():
                programs.run(["ip", "link", "del", "dev", "e2-3"])
            changed = shaper.find_changes(lab.namespaces)
            assert {"a", "b", "c"} <= set(changed) and "edges" in changed["a"]
            apply(shaper, lab)
            assert min(lab.one_way_s("a", "b", 10)) == pytest.approx(0.040, abs=SLACK_S)
            assert not shaper.find_changes(lab.namespaces)
            with lab.network.inside():
                programs.run(["bridge", "fdb", "del", mac_address(lab.addresses["a"]), "dev", "e3-2", "master"])
            assert set(shaper.find_changes(lab.namespaces)) == {"a"}


#: a - b - c - d, a's alone on the other side of it, and e beside d.
CHAIN = Topology(
    {name: name for name in "abcde"},
    (
        Edge("a", "b", Link(delay_us=10_000), Link(delay_us=10_000)),
        Edge("b", "c", Link(2 * MBIT, 20_000), Link(2 * MBIT, 30_000)),
        Edge("c", "d", Link(), Link()),
        Edge("e", "c", Link(), Link()),
    ),
    {"b": "a", "c": "b", "d": "c", "e": "c"},
)


def chain(lab: Rig) -> list[DeviceLink]:
    return [DeviceLink(name, address, Link(delay_us=1_000), Link()) for name, address in lab.addresses.items()]


def test_packets_to_the_server_take_all_hops_and_others_reach_neighbours_alone(
    backend: str, probed: dict[str, Any]
) -> None:
    with rig(*"abcde") as lab, shaped(lab, chain(lab), backend, probed, CHAIN) as shaper:
        apply(shaper, lab)
        # Each hop's uplink, and its edge. The server is a.
        for (source, target), ms in {"da": 43, "ad": 33, "ba": 11, "cd": 1, "dc": 1, "ea": 43, "bc": 21}.items():
            assert min(lab.one_way_s(source, target, 10)) == pytest.approx(ms / 1000, abs=SLACK_S), (source, target)
        assert reached(lab, "bd", "db", "de", "ed", "be", "ba") == {"ba"}
        # What measures links is at no site, and reaches every device over its own link alone.
        lab.add("m")
        guest = DeviceLink("m", lab.addresses["m"], Link(), Link())
        assert shaper.with_guests([guest], {}).apply({"m": lab.namespaces["m"]})["m"].failed is None
        assert min(lab.one_way_s("d", "m", 10)) == pytest.approx(0.001, abs=SLACK_S)
        assert min(lab.one_way_s("m", "d", 10)) == pytest.approx(0, abs=SLACK_S)


def test_flows_over_one_hop_share_its_rate(backend: str, probed: dict[str, Any]) -> None:
    with rig(*"abcde") as lab, shaped(lab, lab.links(), backend, probed, CHAIN) as shaper:
        apply(shaper, lab)
        assert rates(lab, ("d", "a"))["da"] == pytest.approx(2 * MBIT, rel=0.1)
        together = rates(lab, ("d", "a"), ("e", "a"))
        assert together["da"] + together["ea"] == pytest.approx(2 * MBIT, rel=0.1)
        assert min(together.values()) > 0.3 * MBIT


def test_ways_are_read_back_and_put_back_in_force(backend: str, probed: dict[str, Any]) -> None:
    with rig(*"abcde") as lab, shaped(lab, chain(lab), backend, probed, CHAIN) as shaper:
        assert apply(shaper, lab, check=True) == apply(shaper, lab)
        assert not any(result["changed"] for result in apply(shaper, lab).values())
        shaper.find_changes(lab.namespaces)
        with netns.inside(lab.namespaces["c"]):
            programs.run(["ip", "rule", "del", "pref", "100"])
        assert shaper.find_changes(lab.namespaces).keys() == {"c"}
        apply(shaper, lab)
        lab.remove("b")
        lab.add("b")
        assert {name for name, result in apply(shaper, lab).items() if result["changed"]} == {"b"}
        assert min(lab.one_way_s("d", "a", 10)) == pytest.approx(0.043, abs=SLACK_S)


def test_a_device_passes_on_packets_after_its_process_has_ended(backend: str, probed: dict[str, Any]) -> None:
    held = HeldNamespaces()
    with rig(*"abcde") as lab, shaped(lab, lab.links(), backend, probed, CHAIN) as shaper:
        apply(shaper, lab)
        held.hold("b", lab.namespaces["b"])
        lab.remove("b")
        assert reached(lab, "da", "ad") == {"da", "ad"}
        lab.add("b")
        apply(shaper, lab)
        held.hold("b", lab.namespaces["b"])
        assert reached(lab, "da", "ad", "ab") == {"da", "ad", "ab"}
        held.release_all()


def test_a_partition_cuts_edges_to_all_others(backend: str, probed: dict[str, Any]) -> None:
    with rig("a", "b", "c", "d") as lab, shaped(lab, lab.links(), backend, probed, REGIONS) as shaper:
        apply(shaper, lab)
        assert reached(lab, "ab", "ba", "bc", "cb", "ad") == {"ab", "ba", "bc", "cb", "ad"}
        profile = shaper.requested[0]
        results = shaper.change(replace(profile, partitions={1: frozenset("ab")}), lab.namespaces)
        assert {name: result.failed for name, result in results.items()} == {"a": None, "b": None}
        assert reached(lab, "ab", "ba", "bc", "cb", "ad", "cd") == {"ab", "ba", "cd"}
        assert min(lab.one_way_s("a", "b", 10)) == pytest.approx(0.040, abs=SLACK_S)
        assert not any(result["changed"] for result in apply(shaper, lab).values())
        results = shaper.change(profile, lab.namespaces)
        assert {name: result.failed for name, result in results.items()} == {"a": None, "b": None}
        assert reached(lab, "bc", "cb", "ad") == {"bc", "cb", "ad"}


def test_devices_of_a_site_beyond_the_ports_of_its_bridge_reach_all_others(
    probed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "PORTS_PER_BRIDGE", 2)
    between = [("eu", "us"), ("asia", "us"), ("asia", "eu")]
    sites = {"a": "eu", "b": "us", "c": "us", "d": "us", "e": "asia"}
    topology = Topology(sites, tuple(both(*pair, Link()) for pair in between))
    everybody = [f"{one}{other}" for one in "abcde" for other in "abcde" if one != other]
    # Without anything to shape, this needs no netem.
    with rig(*"abcde") as lab, shaped(lab, lab.links(), "netem", probed, topology) as shaper:
        made = apply(shaper, lab)
        assert [made[name]["diff"][2]["after"] for name in "abcde"] == ["br2a", "br3a", "br3a", "br3b", "br1a"]
        assert not any(result["changed"] for result in apply(shaper, lab).values())
        assert reached(lab, *everybody) == set(everybody)
        with lab.network.inside():
            programs.run(["ip", "link", "set", "dev", "to-br3b", "down"])
        assert shaper.find_changes(lab.namespaces).keys() == {"d"}
        apply(shaper, lab)
        lab.add("m")
        guest = DeviceLink("m", lab.addresses["m"], Link(), Link())
        assert shaper.with_guests([guest], {}).apply({"m": lab.namespaces["m"]})["m"].failed is None
        parted = replace(shaper.requested[0], partitions={1: frozenset("ad")})
        shaper.change(parted, {name: lab.namespaces[name] for name in "abcde"})
        expected = {"ad", "da", "bc", "cb", "be", "eb", "ce", "ec", "bm", "mb", "cm", "mc"}
        assert reached(lab, *everybody, "am", "bm", "mb", "cm", "mc", "md") == expected


def reached(lab: Rig, *pairs: str) -> set[str]:
    """Which of these senders and receivers' packets arrive, of some that each sends for a second."""
    names = sorted({name for pair in pairs for name in pair})
    found = set()
    with contextlib.ExitStack() as stack:
        sockets = {name: stack.enter_context(lab.udp(name)) for name in names}
        by_address = {lab.addresses[name]: name for name in names}
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            for source, target in pairs:
                with contextlib.suppress(OSError):  # nobody answers for the address
                    sockets[source].sendto(b"here", (lab.addresses[target], PORT))
            time.sleep(0.1)
            for name, one in sockets.items():
                with contextlib.suppress(BlockingIOError):
                    while True:
                        found.add(by_address[one.recvfrom(64, socket.MSG_DONTWAIT)[1][0]] + name)
    return found


def rates(lab: Rig, *flows: tuple[str, str], seconds: float = 2.0) -> dict[str, float]:
    """Bits per second, frames included, that arrive of UDP flows to one device, all at once: 3 Mbit/s, or 1.5 each."""
    size, each = 1200, 1.5 * MBIT if len(flows) > 1 else 3 * MBIT
    (target,) = {target for _, target in flows}
    arrived: dict[str, list[float]] = {source + target: [] for source, _ in flows}
    names = {lab.addresses[source]: source + target for source, _ in flows}
    for source, _ in flows:
        lab.one_way_s(source, target, 1)  # a port that was just connected may pass nothing for a second
    sockets = [lab.udp(source) for source, _ in flows]
    with lab.udp(target) as receiver:
        receiver.settimeout(0.5)
        end = time.monotonic() + seconds

        def receive() -> None:
            while True:
                try:
                    _, (source, _) = receiver.recvfrom(2048)
                except TimeoutError:
                    return
                arrived[names[source]].append(time.monotonic())

        thread = threading.Thread(target=receive)
        thread.start()
        begun, sent = time.monotonic(), 0
        while time.monotonic() < end:
            while sent * (size + 42) * 8 / each <= time.monotonic() - begun:
                for one in sockets:
                    one.sendto(bytes(size), (lab.addresses[target], PORT))
                sent += 1
            time.sleep(0.0005)
        thread.join()
    for one in sockets:
        one.close()
    # The first half fills the queue.
    found = {}
    for name, times in arrived.items():
        later = [moment for moment in times if moment > begun + seconds / 2]
        found[name] = (len(later) - 1) * (size + 42) * 8 / (later[-1] - later[0])
    return found
