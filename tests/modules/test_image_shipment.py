"""Images are sent from this machine's Engine to one of the test's own, without files."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import docker
import pytest
from ansible_collections.fedsim.testbed.plugins.plugin_utils import _image_shipment as shipment
from ansible_collections.fedsim.testbed.plugins.plugin_utils._remote_program import LOADER, Host

from tests.e2e.own_engine import OwnEngine, own_engine

from .conftest import call_module
from .image_layers import GOOD, Layers

pytestmark = pytest.mark.docker

#: A layer of some megabytes that do not compress, so that a shipment takes a while.
LARGE = GOOD + "RUN dd if=/dev/urandom of=/large bs=1048576 count=40\n"


@pytest.fixture(scope="module")
def other() -> Iterator[OwnEngine]:
    with own_engine() as engine:
        engine.start()
        yield engine


def end_of(url: str, name: str, refs: list[str] | None = None, password: str = "") -> shipment.End:
    found = call_module("fedsim_image_layers", {"docker_host": url, "refs": refs or []})
    host = Host(name, (found["python"], "-c", LOADER), password)
    listed = (found[key] for key in ("chains", "sent", "images", "has_containerd_store"))
    return shipment.End(host, url.removeprefix("unix://"), *listed)


def ship(
    engine: docker.DockerClient, other: OwnEngine, refs: list[str], **changes: Any
) -> tuple[dict[str, str], shipment.Progress]:
    seen: list[list[shipment.Progress]] = []
    builder = end_of("unix:///var/run/docker.sock", "here", refs)
    receivers = {"there": (end_of(other.url, "there", **changes), refs)}
    errors = shipment.ship(builder, receivers, refs, seen.append)
    return errors, seen[-1][0]


def temporary_files(other: OwnEngine) -> list[str]:
    return [path.name for path in (other.folder / "data" / "tmp").glob("*")]


def test_ship_and_ship_again(layers: Layers, engine: docker.DockerClient, other: OwnEngine) -> None:
    first = layers.make("first", GOOD)
    second = layers.make("second", GOOD, parent=first["ref"])
    call_module("fedsim_images", {"layers": [first, second]})
    errors, all_of_it = ship(engine, other, [first["ref"]], password="not asked for")
    assert errors == {}
    client = other.client()
    assert client.images.get(first["ref"]).id == engine.images.get(first["ref"]).id
    errors, rest = ship(engine, other, [second["ref"]])
    assert errors == {}
    assert client.images.get(second["ref"]).id == engine.images.get(second["ref"]).id
    assert rest.sent < all_of_it.sent / 2, "the first image's layers were sent again"
    out = client.containers.run(second["ref"], ["cat", "/tmp/two"], remove=True, network_mode="none")
    assert out == b"two\n"
    assert temporary_files(other) == []


def test_a_device_type_is_built_from_a_parent_that_was_shipped(
    layers: Layers, engine: docker.DockerClient, other: OwnEngine
) -> None:
    parent = layers.make("parent", GOOD)
    call_module("fedsim_images", {"layers": [parent]})
    assert ship(engine, other, [parent["ref"]])[0] == {}
    derived = layers.make("derived", "ARG BASE\nFROM ${BASE}\nLABEL org.fedsim.kind=image\n", parent=parent["ref"])
    with_content = layers.with_content(derived)
    built = call_module("fedsim_images", {"layers": [with_content], "docker_host": other.url})
    assert list(built["built"]) == [derived["ref"]]
    assert other.client().images.get(derived["ref"]).tags == [derived["ref"]]


def test_a_shipment_that_is_broken_off_leaves_nothing(
    layers: Layers, engine: docker.DockerClient, other: OwnEngine
) -> None:
    layer = layers.make("large", LARGE)
    call_module("fedsim_images", {"layers": [layer]})
    client = other.client()
    before = {image.id for image in client.images.list(all=True)}
    builder = end_of("unix:///var/run/docker.sock", "here", [layer["ref"]])
    receivers = {"there": (end_of(other.url, "there"), [layer["ref"]])}

    def break_off(progress: list[shipment.Progress]) -> None:
        if progress[0].sent:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shipment.ship(builder, receivers, [layer["ref"]], break_off)
    deadline = time.monotonic() + 20
    while temporary_files(other) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert temporary_files(other) == []
    assert {image.id for image in client.images.list(all=True)} == before


def test_one_receiver_that_fails_does_not_stop_the_others(
    layers: Layers, engine: docker.DockerClient, other: OwnEngine
) -> None:
    layer = layers.make("shared", GOOD)
    call_module("fedsim_images", {"layers": [layer]})
    refs = [layer["ref"]]
    away = shipment.End(Host("away", (sys.executable, "-c", LOADER)), "/nowhere.sock")
    gone = shipment.End(Host("gone", ("/bin/sh", "-c", "echo no route to host >&2; exit 255")), "/nowhere.sock")
    receivers = {"away": (away, refs), "gone": (gone, refs), "there": (end_of(other.url, "there"), refs)}
    builder = end_of("unix:///var/run/docker.sock", "here", refs)
    errors = shipment.ship(builder, receivers, refs, lambda progress: None)
    assert errors.keys() == {"away", "gone"}
    assert errors["away"].startswith("the Engine took no images: ")
    assert errors["gone"] == "no route to host"
    assert other.client().images.get(layer["ref"])


def test_a_builder_that_fails_is_named(layers: Layers, engine: docker.DockerClient, other: OwnEngine) -> None:
    layer = layers.make("removed", GOOD)
    call_module("fedsim_images", {"layers": [layer]})
    builder = end_of("unix:///var/run/docker.sock", "here", [layer["ref"]])
    engine.images.remove(layer["ref"])
    receivers = {"there": (end_of(other.url, "there"), [layer["ref"]])}
    errors = shipment.ship(builder, receivers, [layer["ref"]], lambda progress: None)
    assert errors["there"].startswith("lab host here did not send its images: the Engine does not give its images: ")
    absent = call_module("fedsim_image_layers", {"refs": [layer["ref"]]}, expect_failure=True)
    assert f"not on this lab host: {layer['ref']}" in absent.msg
