"""Links come into force, are read, are replaced by those of another back end, and are released."""

from __future__ import annotations

import json
from collections.abc import Callable

from fedsim_runner.agent.links import backends
from fedsim_runner.agent.links.network.veth import UP
from fedsim_runner.agent.links.network.wiring import end_name
from fedsim_runner.agent.links.profile import Profile
from fedsim_runner.agent.links.protocol import LinkBackend
from fedsim_runner.agent.links.shaping.shaper import Shaper
from fedsim_runner.agent.links.userspace import backend as userspace
from fedsim_runner.agent.links.userspace.backend import RULE
from fedsim_runner.contract.link import INTERFACE

from ..fake_kernel import NETWORK, FakeKernel
from .cases import CASES, as_dicts, commands, each_backend


@each_backend
def test_check_apply_reapply_change_and_remove(
    kind: type[LinkBackend],
    kernel: FakeKernel,
    namespaces: dict[str, str],
    shaper: Callable[[Profile, str], Shaper],
) -> None:
    one = shaper(CASES["different"], kind.name)
    checked = as_dicts(one.apply(namespaces, check=True))
    assert commands(kernel) == [] and all(result["changed"] for result in checked.values())
    assert as_dicts(one.apply(namespaces)) == checked
    assert commands(kernel)
    assert not any(result["changed"] for result in as_dicts(one.apply(namespaces)).values())
    assert commands(kernel) == []
    one.set_profile(CASES["rates"], kind.name)
    planned = (kind({}).plan(CASES[case])["a"] for case in ("different", "rates"))
    first, second = planned
    different = {item for item, value in second.items() if value != first.get(item)}
    assert {UP} < different  # a rate of each direction, wherever the back end holds it
    assert {entry["item"] for entry in as_dicts(one.apply(namespaces))["a"]["diff"]} == different
    one.set_profile(CASES["nothing"], kind.name)
    assert as_dicts(one.apply(namespaces))["b"]["changed"]
    assert not kernel.qdiscs and not any(kernel.rules.values())


@each_backend
def test_links_in_force_are_read_without_a_program_for_each_device(
    kind: type[LinkBackend],
    kernel: FakeKernel,
    namespaces: dict[str, str],
    shaper: Callable[[Profile, str], Shaper],
) -> None:
    one = shaper(CASES["different"], kind.name)
    as_dicts(one.apply(namespaces))
    kernel.listed.clear()
    assert not any(result["changed"] for result in as_dicts(one.apply(namespaces)).values())
    assert kernel.listed == [NETWORK]
    # Whatever somebody else changed is seen all the same.
    kernel.qdiscs.pop(("a", INTERFACE), None)
    with kernel.inside(namespaces["b"]):
        for rule in list(kernel.rules.get("b", ())):
            kernel.run(["iptables-nft", "-D", *rule.split()])
    results = as_dicts(one.apply(namespaces))
    assert [entry["item"] for entry in results["a"]["diff"]] == (
        [UP] if UP in kind({}).plan(CASES["different"])["a"] else []
    )
    assert [entry["item"] for entry in results["b"]["diff"]] == ([RULE] if kind is userspace.Backend else [])


@each_backend
def test_it_leaves_nothing_behind_for_another(
    kind: type[LinkBackend],
    kernel: FakeKernel,
    namespaces: dict[str, str],
    shaper: Callable[[Profile, str], Shaper],
) -> None:
    for other in backends.load_all():
        fresh = shaper(CASES["different"], other.name)
        fresh.apply(namespaces)
        expected = (dict(kernel.qdiscs), {name: rules for name, rules in kernel.rules.items() if rules})
        # Take over links from an agent that has ended, then within an agent that goes on.
        for switched in (shaper(CASES["different"], kind.name), fresh):
            switched.set_profile(CASES["different"], kind.name)
            as_dicts(switched.apply(namespaces))
            switched.set_profile(CASES["different"], other.name)
            as_dicts(switched.apply(namespaces))
            assert (kernel.qdiscs, {name: rules for name, rules in kernel.rules.items() if rules}) == expected
        fresh.set_profile(CASES["nothing"], other.name)
        fresh.apply(namespaces)


@each_backend
def test_a_missing_device_fails_under_its_name(
    kind: type[LinkBackend],
    kernel: FakeKernel,
    namespaces: dict[str, str],
    shaper: Callable[[Profile, str], Shaper],
) -> None:
    results = shaper(CASES["different"], kind.name).apply({**namespaces, "a": "/nowhere"})
    assert results["a"].failed == "no namespace nowhere" and results["b"].failed is None
    a, b = (end_name(device.address) for device in CASES["different"].devices)
    assert ("b", INTERFACE) in kernel.qdiscs and ("a", INTERFACE) not in kernel.qdiscs
    assert (NETWORK, b) in kernel.links and (NETWORK, a) not in kernel.links


@each_backend
def test_settings_that_the_kernel_does_not_keep_are_a_failure(
    kind: type[LinkBackend],
    kernel: FakeKernel,
    namespaces: dict[str, str],
    shaper: Callable[[Profile, str], Shaper],
) -> None:
    kernel.forgets = True
    results = shaper(CASES["rates"], kind.name).apply(namespaces)
    assert str(results["a"].failed).startswith("the kernel did not keep what was set: up is none, not ")


@each_backend
def test_it_releases_a_device_and_stops(
    kind: type[LinkBackend], kernel: FakeKernel, namespaces: dict[str, str], shaper: Callable[[Profile, str], Shaper]
) -> None:
    one = shaper(CASES["different"], kind.name)
    one.forget("a")
    assert one.failure() is None and one.counters() == {}
    as_dicts(one.apply(namespaces))
    one.forget("a")
    json.dumps(one.counters())
    assert one.failure() is None
