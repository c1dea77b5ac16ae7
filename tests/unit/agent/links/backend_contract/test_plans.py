"""A profile becomes settings, and these become commands."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.agent.links.deviation import Deviation
from fedsim_runner.agent.links.network.run_namespace import RunNamespace
from fedsim_runner.agent.links.network.veth import DOWN, UP, Veths
from fedsim_runner.agent.links.network.wiring import plan_wires
from fedsim_runner.agent.links.profile import Profile
from fedsim_runner.agent.links.protocol import LinkBackend
from fedsim_runner.agent.links.shaping.shaper import Shaper
from fedsim_runner.contract.link import Link, Links, Queue

from ..fake_kernel import FakeKernel
from .cases import CASES, G5, GOLDEN, PROPERTIES, SLOW, as_dicts, commands, each_backend


@each_backend
@pytest.mark.parametrize("case", CASES)
def test_a_plan_depends_on_its_profile_alone(
    kind: type[LinkBackend],
    case: str,
    kernel: FakeKernel,
    probed: dict[str, Any],
    namespaces: dict[str, str],
    network: RunNamespace,
) -> None:
    backend, profile = kind(probed), CASES[case]
    planned = backend.plan(profile)
    assert list(planned) == [device.device for device in profile.devices]
    assert planned == kind(probed).plan(dataclasses.replace(profile, devices=tuple(profile.devices)))
    assert kernel.log == []
    # Every setting can be read back.
    here = {name: namespaces[name] for name in planned}
    veths = Veths(kind.qdiscs, network)
    veths.wires = plan_wires(profile)
    readable: dict[str, Any] = {**veths.read(here)[0]["a"], **backend.read(here)[0]["a"]}
    assert all(set(settings) <= set(readable) for settings in planned.values())


@each_backend
@pytest.mark.parametrize("way", [UP, DOWN])
@pytest.mark.parametrize("name", PROPERTIES)
def test_no_property_of_a_link_is_ignored(kind: type[LinkBackend], way: str, name: str, probed: dict[str, Any]) -> None:
    bare = CASES["nothing"]
    first = dataclasses.replace(bare.devices[0], **{way: Link(**{name: PROPERTIES[name]})})
    planned = kind(probed).plan(dataclasses.replace(bare, devices=[first, bare.devices[1]]))
    assert planned != kind(probed).plan(bare)


@each_backend
@pytest.mark.parametrize("way", [UP, DOWN])
def test_a_queue_with_another_room_is_another_setting(
    kind: type[LinkBackend], way: str, probed: dict[str, Any]
) -> None:
    planned = []
    for queue in (None, Queue(buffer_us=500_000)):
        first = dataclasses.replace(CASES["nothing"].devices[0], **{way: Link(1_000_000, queue=queue)})
        planned.append(kind(probed).plan(Profile([first])))
    assert planned[0] != planned[1]


@each_backend
@pytest.mark.parametrize("case", CASES)
def test_profile_to_commands(
    kind: type[LinkBackend],
    case: str,
    kernel: FakeKernel,
    namespaces: dict[str, str],
    shaper: Callable[[Profile, str], Shaper],
    golden: Callable[[Path, str], None],
) -> None:
    plan = kind({}).plan(CASES[case])
    lines = [f"{name} {item}: {value}" for name, settings in plan.items() for item, value in settings.items()]
    as_dicts(shaper(CASES[case], kind.name).apply(namespaces))
    lines += ["", *commands(kernel)]
    golden(
        GOLDEN / kind.name / f"{case}.txt",
        "".join(f"{line}\n" for line in lines),
    )


@each_backend
@pytest.mark.parametrize("case", ["different", "nothing", "peer"])
def test_links_that_change_are_planned_as_all_together_would_be(
    kind: type[LinkBackend], case: str, probed: dict[str, Any]
) -> None:
    planned = dataclasses.replace(CASES[case], later=(G5,))
    changed = Deviation({"a": Links(SLOW, G5)}).of(planned)
    backend = kind(probed)
    before = backend.plan(planned)
    some = backend.plan_changed(changed, {"a"})
    assert {name: {**before[name], **some.get(name, {})} for name in before} == kind(probed).plan(changed)
    assert some["a"][UP] != before["a"][UP]
