"""Who builds images and who receives them: one lab host of each architecture builds, preferably the control node."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedsim_runner.testbed.docker.images import ImageError, LayerSources
from fedsim_runner.testbed.docker.images.host_images import (
    HostImages,
    HostPlan,
    ImagePlan,
    Shipment,
    emulated_images,
    images_of_devices,
    plan_hosts,
)
from fedsim_runner.testbed.docker.images.layers import THIN_BYTES


@pytest.fixture
def sources(tmp_path: Path) -> LayerSources:
    for name in ("base", "engine-light", "agent", "pi", "phone"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\n")
    for name in ("contract", "participant", "agent"):
        (tmp_path / "package" / name).mkdir(parents=True)
        (tmp_path / "package" / name / "__init__.py").write_text("")
    (tmp_path / "package" / "__init__.py").write_text("")
    return LayerSources(dockerfiles=(tmp_path,), package=tmp_path / "package")


def host(
    name: str, *images: str, present: tuple[str, ...] = (), local: bool = False, arch: str = "amd64"
) -> HostImages:
    needed = dict.fromkeys(("agent", *images), arch)
    return HostImages(name, arch, needed, frozenset(present), local)


def names(plan: ImagePlan, refs: tuple[str, ...]) -> list[str]:
    by_ref = {layer.ref: layer.name for layer in plan.layers}
    return [by_ref[ref] for ref in refs]


def test_one_host_builds_what_it_lacks(sources: LayerSources) -> None:
    plan = plan_hosts([host("a", "pi-light")], sources)
    alone = plan.hosts["a"]
    assert sorted(alone.refs) == ["agent", "pi-light"]
    assert names(plan, alone.build) == ["base", "agent", "engine-light", "pi-light"]
    assert (alone.receive, alone.derive, plan.shipments) == ((), (), ())
    again = plan_hosts([host("a", "pi-light", present=alone.build)], sources).hosts["a"]
    assert again == HostPlan(refs=alone.refs, missing=())


def test_the_control_node_builds_for_all_but_their_device_types(sources: LayerSources) -> None:
    plan = plan_hosts([host("far", "phone-light"), host("near", "pi-light", local=True)], sources)
    far, near = plan.hosts["far"], plan.hosts["near"]
    assert names(plan, near.build) == ["base", "agent", "engine-light", "pi-light"]
    assert (near.receive, near.derive) == ((), ())
    assert far.build == ()
    assert names(plan, far.receive) == ["base", "agent", "engine-light"]
    assert names(plan, far.derive) == ["phone-light"]
    assert plan.shipments == (Shipment("near", far.receive, {"far": far.receive}),)


def test_the_builder_makes_parents_that_only_others_have(sources: LayerSources) -> None:
    everything = plan_hosts([host("x", "phone-light")], sources)
    ref = {layer.name: layer.ref for layer in everything.layers}
    plan = plan_hosts(
        [
            host("near", local=True, present=(ref["base"], ref["agent"])),
            host("far", "phone-light", present=(ref["base"], ref["agent"])),
        ],
        sources,
    )
    assert names(plan, plan.hosts["near"].build) == ["engine-light"]
    assert [names(plan, shipment.refs) for shipment in plan.shipments] == [["engine-light"]]
    assert names(plan, plan.hosts["far"].derive) == ["phone-light"]


def test_who_has_most_images_sends_them(sources: LayerSources) -> None:
    everything = plan_hosts([host("x", "phone-light")], sources).hosts["x"].missing
    plan = plan_hosts([host("near", "phone-light", local=True), host("far", present=everything)], sources)
    assert [shipment.builder for shipment in plan.shipments] == ["far"]
    assert plan.hosts["near"].build == plan.hosts["far"].build == ()
    assert names(plan, plan.hosts["near"].derive) == ["phone-light"]


def test_each_lab_host_gets_what_it_lacks(sources: LayerSources) -> None:
    ref = {layer.name: layer.ref for layer in plan_hosts([host("x", "pi-light")], sources).layers}
    has = (ref["base"],)
    plan = plan_hosts([host("a", present=has), host("b", "pi-light"), host("c", present=has)], sources)
    to = plan.shipments[0].to
    assert {name: names(plan, refs) for name, refs in to.items()} == {
        "b": ["base", "agent", "engine-light"],
        "c": ["agent"],
    }


def test_a_device_type_with_much_in_it_is_shipped(sources: LayerSources, tmp_path: Path) -> None:
    (tmp_path / "pi" / "model.bin").write_bytes(bytes(THIN_BYTES))
    plan = plan_hosts([host("a"), host("b", "pi-light")], sources)
    assert names(plan, plan.hosts["b"].receive) == ["base", "agent", "engine-light", "pi-light"]
    assert plan.hosts["b"].derive == ()


def test_each_architecture_has_its_builder(sources: LayerSources) -> None:
    plan = plan_hosts([host("a"), host("b", arch="arm64"), host("c", arch="arm64")], sources)
    assert {shipment.builder: set(shipment.to) for shipment in plan.shipments} == {"b": {"c"}}
    assert names(plan, plan.hosts["a"].build) == ["base", "agent"]
    assert plan.hosts["b"].refs != plan.hosts["a"].refs


def test_images_of_an_emulated_architecture_come_from_a_host_that_has_it(sources: LayerSources) -> None:
    emulating = HostImages("a", "amd64", {"agent": "amd64", "pi-light": "arm64"}, frozenset(), False)
    plan = plan_hosts([emulating, host("b", arch="arm64")], sources)
    assert names(plan, plan.hosts["a"].build) == ["base", "agent"]
    assert names(plan, plan.hosts["a"].receive) == ["base", "engine-light"]
    assert names(plan, plan.hosts["a"].derive) == ["pi-light"]
    alone = plan_hosts([emulating], sources)
    assert names(alone, alone.hosts["a"].build) == ["base", "agent", "base", "engine-light", "pi-light"]


def test_images_of_devices() -> None:
    devices = [{"name": name, "image": "pi-light", "arch": "arm64", "engine": "light"} for name in "pq"]
    assert images_of_devices(devices, "arm64") == {"agent": "arm64", "pi-light": "arm64"}
    assert images_of_devices(devices, "amd64") == {"agent": "amd64", "pi-light": "arm64", "engine-light": "amd64"}
    mixed = [*devices, {"name": "r", "image": "pi-light", "arch": "amd64", "engine": "light"}]
    with pytest.raises(ImageError, match="device r: image pi-light is needed for amd64 and arm64"):
        images_of_devices(mixed, "amd64")


def test_emulated_devices_are_compared_with_the_lab_hosts_own_image_of_their_engine(sources: LayerSources) -> None:
    devices = [{"name": name, "image": "pi-light", "arch": "arm64", "engine": "light"} for name in "pq"]
    assert emulated_images(devices, "arm64") == []
    assert emulated_images([*devices, {"name": "s", "image": "edge-light", "engine": "light"}], "amd64") == [
        {"arch": "arm64", "engine": "light", "devices": ["p", "q"], "emulated": "pi-light", "native": "engine-light"}
    ]
    needed = images_of_devices(devices, "amd64")
    plan = plan_hosts([HostImages("a", "amd64", needed, frozenset(), True)], sources)
    assert plan.hosts["a"].bases == ("amd64", "arm64")
    architectures = {layer.ref: layer.arch for layer in plan.layers}
    assert {name: architectures[ref] for name, ref in plan.hosts["a"].refs.items()} == needed
