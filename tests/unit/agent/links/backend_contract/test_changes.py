"""Links in force are changed in place, while packets pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from fedsim_runner.agent.links.deviation import Deviation
from fedsim_runner.agent.links.netem import backend as netem
from fedsim_runner.agent.links.network.run_namespace import RunNamespace
from fedsim_runner.agent.links.network.veth import UP
from fedsim_runner.agent.links.network.wiring import end_name
from fedsim_runner.agent.links.profile import Profile
from fedsim_runner.agent.links.protocol import LinkBackend
from fedsim_runner.agent.links.shaping.shaper import Shaper
from fedsim_runner.contract.link import Link, Links

from ..fake_kernel import NETWORK, FakeKernel
from .cases import BURSTY, CASES, CODEL, G5, GOLDEN, IN_PLACE, NONE, SLOW, as_dicts, commands, each_backend, two


@each_backend
@pytest.mark.parametrize("case", ["different", "nothing"])
def test_links_are_changed_in_place_and_back(
    case: str,
    kind: type[LinkBackend],
    kernel: FakeKernel,
    namespaces: dict[str, str],
    shaper: Callable[[Profile, str], Shaper],
    golden: Callable[[Path, str], None],
) -> None:
    planned = dataclasses.replace(CASES[case], later=(G5,))
    one = shaper(planned, kind.name)
    as_dicts(one.apply(namespaces))
    commands(kernel)
    kernel.listed.clear()
    slower = Links(Link(1_000_000, 40_000), Link(9_000_000, 40_000, loss=0.5))
    results = one.change(Deviation({"a": slower}).of(planned), namespaces)
    assert not any(result.failed for result in results.values()) and results["a"].changed
    lines = [f"{name}: {result.found}" for name, result in results.items()]
    lines += ["", *commands(kernel)]
    if kind.name in IN_PLACE:
        assert not any(" tc " in f" {line}" or "iptables" in line for line in lines), "without a program"
        assert kernel.listed == []
        golden(GOLDEN / kind.name / f"changed-{case}.txt", "".join(f"{line}\n" for line in lines))
    assert one.find_changes(namespaces) == {}
    assert not any(result["changed"] for result in as_dicts(one.apply(namespaces)).values())
    assert not any(result.failed for result in one.change(planned, namespaces).values())
    assert not any(result["changed"] for result in as_dicts(one.apply(namespaces)).values())
    assert one.change(planned, namespaces) == {}


@pytest.mark.parametrize(
    "link",
    [
        CODEL,
        Link(1_000_000, 5_000, duplicate=0.1),
        Link(None, 5_000, 1_000, duplicate=0.1),
        dataclasses.replace(BURSTY, queue=CODEL.queue),
    ],
    ids=["codel", "duplicates", "duplicates-unlimited", "codel-bursts"],
)
def test_a_token_bucket_is_changed_in_place_and_back(
    link: Link,
    kernel: FakeKernel,
    namespaces: dict[str, str],
    network: RunNamespace,
) -> None:
    faster = dataclasses.replace(link, rate_bps=3_000_000, delay_us=40_000)
    planned = dataclasses.replace(two((link, CODEL), NONE), later=(faster,), changing={("a", UP): (link, faster)})
    one = Shaper([netem.Backend({})], network, planned, "netem")
    as_dicts(one.apply(namespaces))
    assert not any(result["changed"] for result in as_dicts(one.apply(namespaces)).values())
    commands(kernel)
    for now in (faster, link):
        results = one.change(Deviation({"a": Links(now, CODEL)}).of(planned), namespaces)
        assert set(results) == {"a"} and results["a"].failed is None
        changed = commands(kernel)
        assert not any(" tc " in f" {line}" for line in changed), "without a program"
        assert any(" tbf " in line for line in changed)
        assert one.find_changes(namespaces) == {}
        assert not any(result["changed"] for result in as_dicts(one.apply(namespaces)).values())
    one.stop()


@each_backend
def test_what_a_later_change_has_made_before_anybody_looked_is_no_failure(
    kind: type[LinkBackend],
    kernel: FakeKernel,
    namespaces: dict[str, str],
    shaper: Callable[[Profile, str], Shaper],
) -> None:
    planned = dataclasses.replace(CASES["different"], later=(G5,))
    one = shaper(planned, kind.name)
    as_dicts(one.apply(namespaces))
    links = [Links(dataclasses.replace(G5, delay_us=delay_us), SLOW) for delay_us in (40_000, 50_000, 40_000)]
    changes = [one.begin_change(Deviation({"a": now}).of(planned), namespaces) for now in links]
    seen = [change.see() for change in changes[:2]]
    results = [change.finish([part.looked_at() for part in some]) for change, some in zip(changes, seen, strict=False)]
    assert [result["a"].failed for result in results] == [None, None], "also if a third one is to be as the first"
    assert results[0]["a"].found != results[1]["a"].found, "each is what was asked for"
    assert changes[2].complete()["a"].failed is None
    assert one.find_changes(namespaces) == {}
    assert not any(result["changed"] for result in as_dicts(one.apply(namespaces)).values())


@each_backend
def test_what_comes_before_a_prepared_change_is_made_though_both_ask_for_the_same(
    kind: type[LinkBackend],
    kernel: FakeKernel,
    namespaces: dict[str, str],
    shaper: Callable[[Profile, str], Shaper],
) -> None:
    planned = dataclasses.replace(CASES["different"], later=(G5,))
    one = shaper(planned, kind.name)
    as_dicts(one.apply(namespaces))
    changed = Deviation({"a": Links(dataclasses.replace(G5, delay_us=40_000), SLOW)}).of(planned)
    later = one.begin_change(changed, namespaces, due_s=2.0)
    one.expect(planned, {"a"})
    sooner = one.begin_change(changed, namespaces, due_s=1.0)
    again = one.begin_change(changed, namespaces, due_s=2.0)
    found = sooner.complete()["a"]
    assert found.changed and found.failed is None
    assert one.find_changes(namespaces) == {}, "it is in force"
    assert not any(one.failed for change in (later, again) for one in change.complete().values())
    assert one.find_changes(namespaces) == {}


@each_backend
def test_a_change_of_some_links_is_the_same_if_only_these_are_planned(
    kind: type[LinkBackend],
    kernel: FakeKernel,
    namespaces: dict[str, str],
    shaper: Callable[[Profile, str], Shaper],
) -> None:
    planned = dataclasses.replace(CASES["different"], later=(G5,))
    changed = Deviation({"a": Links(SLOW, dataclasses.replace(G5, delay_us=40_000))}).of(planned)
    one = shaper(planned, kind.name)
    found: list[set[str]] = []
    for devices, reads_back in ((None, False), ({"a"}, True), ({"a"}, False)):
        as_dicts(one.apply(namespaces))
        change = one.begin_change(changed, namespaces, reads_back=reads_back, devices=devices)
        results = change.complete()
        assert all(result.changed and result.failed is None for result in results.values()), results
        found.append(set(results))
        assert one.find_changes(namespaces) == {} and one.requested[0] == changed
        assert not any(result["changed"] for result in as_dicts(one.apply(namespaces)).values())
        one.set_profile(planned, kind.name)
    assert found[0] and found == [found[0]] * 3


@each_backend
def test_who_is_offline_or_apart_is_no_port_of_the_others_bridge(
    kind: type[LinkBackend],
    kernel: FakeKernel,
    namespaces: dict[str, str],
    shaper: Callable[[Profile, str], Shaper],
) -> None:
    planned = CASES["different"]
    one = shaper(planned, kind.name)
    as_dicts(one.apply(namespaces))
    ends = {device.device: (NETWORK, end_name(device.address)) for device in planned.devices}

    def bridges() -> dict[str, str | None]:
        return {name: kernel.links[end].bridge for name, end in ends.items()}

    assert one.change(Deviation(offline=frozenset("a")).of(planned), namespaces)["a"].found == "port none"
    assert bridges() == {"a": None, "b": "br0"}
    apart = Deviation(partitions={7: frozenset("a")}, offline=frozenset("b"))
    kernel.lacks = ("ip", "tc", "iptables")  # a program would begin late beside devices that compute
    assert not any(result.failed for result in one.change(apart.of(planned), namespaces).values())
    assert bridges()["b"] is None and bridges()["a"] not in (None, "br0")
    kernel.lacks = ()
    assert one.find_changes(namespaces) == {}
    one.change(planned, namespaces)
    assert bridges() == {"a": "br0", "b": "br0"}


@each_backend
def test_what_drops_packets_between_partitions_moves_no_port(
    kind: type[LinkBackend],
    kernel: FakeKernel,
    namespaces: dict[str, str],
    shaper: Callable[[Profile, str], Shaper],
) -> None:
    planned = dataclasses.replace(CASES["nothing"], may_part=True)
    one = shaper(planned, kind.name)
    as_dicts(one.apply(namespaces))
    apart = Deviation(partitions={7: frozenset("a")}, offline=frozenset("b")).of(planned)
    found = {name: result.found for name, result in one.change(apart, namespaces).items()}
    bridges = [kernel.links[NETWORK, end_name(device.address)].bridge for device in planned.devices]
    if kind.keeps_apart:
        assert found == {"a": "reached by partition 7", "b": "reached by nobody"} and bridges == ["br0", "br0"]
    else:
        assert "port none" in found["b"] and "br0" not in bridges
    assert one.find_changes(namespaces) == {}
    one.change(planned, namespaces)
    assert one.find_changes(namespaces) == {}


@each_backend
def test_what_the_kernel_does_not_change_is_a_failure_and_applied_again(
    kind: type[LinkBackend],
    kernel: FakeKernel,
    namespaces: dict[str, str],
    shaper: Callable[[Profile, str], Shaper],
) -> None:
    planned = dataclasses.replace(CASES["rates"], later=(G5,))
    one = shaper(planned, kind.name)
    as_dicts(one.apply(namespaces))
    kernel.forgets = True
    (result,) = one.change(
        Deviation({"a": Links(G5, CASES["rates"].devices[0].down)}).of(planned), {"a": namespaces["a"]}
    ).values()
    assert str(result.failed).startswith("the kernel did not keep what was set: up is ")
    kernel.forgets = False
    assert as_dicts(one.apply(namespaces))["a"]["changed"]
