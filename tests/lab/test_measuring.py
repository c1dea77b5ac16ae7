"""Links measured as a run measures them, on a real kernel: what is as requested, and what is not.

In namespaces, over the veth pairs, bridges and qdiscs that a run has. A link that is not what was asked for is one that
was shaped for something else.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fedsim_runner.agent.host import counters
from fedsim_runner.agent.host.left_out import LeftOut
from fedsim_runner.agent.host.network_container import Namespace, NetworkContainer, namespace_number
from fedsim_runner.agent.host.samples import Sampler
from fedsim_runner.agent.links import probe
from fedsim_runner.agent.links.profile import DeviceLink, Profile
from fedsim_runner.agent.links.run_links import RunLinks
from fedsim_runner.agent.measuring.link_check import LinkCheck
from fedsim_runner.agent.run_settings import RunSettings
from fedsim_runner.contract.events import Event
from fedsim_runner.contract.link import Link
from fedsim_runner.contract.link_verdict import OUT
from fedsim_runner.contract.topology import Edge, Topology
from tests.agent_settings import run_settings
from tests.lab.rig import Rig, rig

FAST = Link(1_000_000_000, 500)
WIFI = Link(40_000_000, 3_000, 1_000)
SLOW = Link(768_000, 150_000, 15_000)
# On a busy machine a measurement may be too poor to say anything; one of so many is not.
TRIES = 10


class Checked:
    """A run's links in namespaces, shaped for some values and measured for others."""

    def __init__(self, lab: Rig, folder: Path) -> None:
        self.lab = lab
        self.topology: Topology | None = None
        self.events: list[Event] = []
        path = lab.network.path
        assert path is not None
        network = SimpleNamespace(
            name="n", namespace=Namespace(path, cast(Any, namespace_number(path))), failure=lambda: None
        )
        self.links = RunLinks(cast(NetworkContainer, network), "auto", probe.probe(), self.events.append)
        self.sampler = Sampler(folder / "metrics.csv", LeftOut(folder / "not_counted.json"), counters.read)
        self.running = {name: holder.pid for name, holder in lab.holders.items()}
        self.check = LinkCheck(threading.RLock(), self.links, self.sampler, self.events.append)

    def settings(self, links: dict[str, tuple[Link, Link]]) -> RunSettings:
        devices = [DeviceLink(name, address, *links[name]) for name, address in self.lab.addresses.items()]
        profile = Profile(devices, seed=1, server="server", topology=self.topology)
        return run_settings(profile)

    def shape(self, links: dict[str, tuple[Link, Link]]) -> None:
        answer = self.links.apply(self.settings(links), list(links), self.running, False)
        assert all(one["failed"] is None for one in answer["devices"].values()), answer

    def measure(self, links: dict[str, tuple[Link, Link]], again: bool = True) -> dict[tuple[str, str], dict[str, Any]]:
        found = self.check.measure(self.settings(links), self.running, again, None)
        assert found["reason"] is None, found
        return {(one["device"], one["direction"]): one for one in found["links"]}


@contextmanager
def checked(folder: Path, *names: str) -> Iterator[Checked]:
    with rig(*names) as lab:
        made = Checked(lab, folder)
        try:
            yield made
        finally:
            made.links.stop()
            made.sampler.close()


@pytest.fixture
def asked() -> dict[str, tuple[Link, Link]]:
    return {"server": (FAST, FAST), "near": (WIFI, WIFI), "far": (SLOW, replace(SLOW, rate_bps=1_600_000))}


def test_links_as_requested_are_never_false_and_others_are_named(
    tmp_path: Path, asked: dict[str, tuple[Link, Link]]
) -> None:
    with checked(tmp_path, *asked) as run:
        run.shape(asked)
        for _ in range(TRIES):
            found = run.measure(asked)
            assert list(found) == [(name, way) for name in asked for way in ("up", "down")]
            # Other work on the machine may hold packets up, and is then named.
            false = {way: one for way, one in found.items() if one["verdict"] == OUT and "load" not in one["reason"]}
            if not false:
                break
        assert not false

        # One direction of one device is not what is asked for: faster than that, which no other work makes it.
        other = {**asked, "near": (replace(WIFI, delay_us=80_000), replace(WIFI, rate_bps=10_000_000))}
        reasons: dict[str, str] = {}
        for _ in range(TRIES):
            found = run.measure(other)
            for direction in ("up", "down"):
                if (one := found["near", direction])["verdict"] == OUT:
                    reasons.setdefault(direction, one["reason"])
            if len(reasons) == 2:
                break
        assert reasons["up"].startswith("delay ") and "not 80 ms (likely reason: kernel" in reasons["up"]
        assert "rate " in reasons["down"] and "not 10 Mbit/s (likely reason: kernel" in reasons["down"]


def test_edges_are_measured_and_counted_without_the_links_of_devices(tmp_path: Path) -> None:
    """Also where a device passes on what others send: nothing of it is measured with an edge."""
    far_off = Link(delay_us=300_000)
    slow = Link(5_000_000, 30_000, 0, 0.05)
    chain = (Edge("server", "near", Link(20_000_000, 40_000, 4_000), slow), Edge("near", "far", Link(), Link()))
    links = dict.fromkeys(("server", "near", "far"), (far_off, far_off))
    with checked(tmp_path, *links) as run:
        run.topology = Topology({name: name for name in links}, chain, {"near": "server", "far": "near"})
        run.shape(links)
        for _ in range(TRIES):
            found = run.measure(links)
            edges = {key: one for key, one in found.items() if key[0] not in links}
            assert list(edges) == [(edge.name, way) for edge in chain for way in ("up", "down")]
            false = [one for one in edges.values() if one["verdict"] == OUT and "load" not in one["reason"]]
            if not false:
                break
        assert not false
        for one in edges.values():
            assert -1_000 < one["delay_us"] - one["delay_asked_us"] < far_off.delay_us, one
        assert run.links.restore(run.running) == {}
        answer = run.links.apply(run.settings(links), list(links), run.running, False)
        assert not answer["changed"], "a measurement changes no link"

        run.links.count(run.running, afresh=True)
        run.lab.burst("far", "server", 500, 300, 2_000_000)
        tally = run.links.count(run.running)["server - near", "down"]
        assert tally.packets >= 500 and 0 < tally.lost < 60
        looks = run.links.look(run.running)
        assert ("near - far", "up") not in looks and looks["server - near", "down"].packets == tally.packets

        # One direction is not what is asked for.
        run.topology = Topology(run.topology.sites, (replace(chain[0], back=replace(slow, delay_us=900_000)), chain[1]))
        for _ in range(TRIES):
            found = run.measure(links)
            if (one := found["server - near", "down"])["verdict"] == OUT:
                break
        assert "not 900 ms (likely reason: kernel" in one["reason"]


def test_a_firewall_is_named(tmp_path: Path) -> None:
    if probe.probe().get("iptables") is None:
        pytest.skip("this kernel has no firewall, so nothing can drop packets")
    links = {"server": (Link(), Link()), "a": (Link(delay_us=5_000), Link(delay_us=5_000))}
    with checked(tmp_path, *links) as run:
        run.shape(links)
        run.lab.drop_arrivals("a")
        found = run.measure(links)
        assert found["a", "up"]["loss"] < 1
        assert found["a", "down"]["verdict"] == OUT
        assert "nothing arrived (likely reason: firewall" in found["a", "down"]["reason"]


def test_what_was_measured_is_left_out_and_nothing_is_left_behind(tmp_path: Path) -> None:
    links = {"server": (Link(), Link()), "a": (Link(8_000_000), Link(8_000_000))}
    with checked(tmp_path, *links) as run:
        run.shape(links)
        for name, pid in run.running.items():
            run.sampler.watch(name, pid, "none")
        before = run.sampler.read()
        with ThreadPoolExecutor() as pool:
            measuring = pool.submit(run.measure, links, again=False)
            while not measuring.done():
                time.sleep(1)  # the first look at the links comes when they are being measured
                assert run.links.restore(run.running) == {}
        found = measuring.result()
        after = run.sampler.read()
        assert "link_restored" not in [event.name for event in run.events], "nobody else has changed a link"
        assert [(one.rx_bytes, one.tx_bytes) for one in after.values()] == [
            (one.rx_bytes, one.tx_bytes) for one in before.values()
        ]
        run.lab.burst("a", "server", 10, 200, 1e6)
        assert (run.sampler.read()["a"].tx_bytes or 0) - (after["a"].tx_bytes or 0) >= 10 * 242
        recorded = len(run.events)
        assert run.measure(links, again=False) == found, "what is known is not measured again"
        assert len(run.events) == recorded
        assert run.links.restore(run.running) == {}
        answer = run.links.apply(run.settings(links), list(links), run.running, False)
        assert not answer["changed"], "a measurement changes no link"
