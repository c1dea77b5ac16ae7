"""fedsim_images and related modules on a real Engine, with layers that take a second to build."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import call_module
from .image_layers import GOOD, Layers

pytestmark = pytest.mark.docker

BROKEN = GOOD + "RUN echo about to fail; cat /no/such/file\n"


def test_apply_again_change(layers: Layers) -> None:
    first = layers.make("first", GOOD)
    second = layers.make("second", GOOD, parent=first["ref"])
    checked = call_module("fedsim_images", {"layers": [first, second]}, check=True)
    assert checked.changed and layers.named() == []
    assert first["ref"] in checked["diff"]["after"]
    built = call_module("fedsim_images", {"layers": [first, second]})
    assert built.changed
    assert list(built["built"]) == [first["ref"], second["ref"]]
    assert layers.named() == sorted([first["ref"], second["ref"]])
    assert not set(layers.unnamed()) - layers.before
    again = call_module("fedsim_images", {"layers": [first, second]})
    assert not again.changed and again["built"] == {}
    assert again["images"][second["ref"]]["own"] < again["images"][second["ref"]]["size"]
    third = layers.make("third", GOOD, parent=second["ref"])
    assert list(call_module("fedsim_images", {"layers": [first, second, third]})["built"]) == [third["ref"]]


def test_a_broken_dockerfile_is_explained_and_leaves_nothing(layers: Layers) -> None:
    layer = layers.make("broken", BROKEN)
    answer = call_module("fedsim_images", {"layers": [layer]}, expect_failure=True)
    assert "image broken was not built: Step 6/" in answer.msg
    assert "cat /no/such/file" in answer.msg
    assert "about to fail" in answer.msg
    assert layers.named() == [] and not layers.new_containers()
    assert not set(layers.unnamed()) - layers.before


def test_a_dockerfile_that_cannot_be_read_is_explained(layers: Layers) -> None:
    answer = call_module("fedsim_images", {"layers": [layers.make("typo", GOOD + "RUNN x\n")]}, expect_failure=True)
    assert "image typo was not built: " in answer.msg
    assert "RUNN" in answer.msg


def test_leftovers_of_a_killed_build_are_removed(layers: Layers) -> None:
    """An intermediate image without a name is what remains after the Engine itself was killed."""
    layer = layers.make("left", GOOD)
    with Path(layer["context"]).open("rb") as context:
        left, _log = layers.engine.images.build(
            fileobj=context, custom_context=True, buildargs={"BASE": layers.base}, rm=True, nocache=True
        )
    assert left.id in layers.unnamed()
    call_module("fedsim_images", {"layers": [layers.make("next", GOOD)]})
    assert left.id not in layers.unnamed()


def test_builds_have_no_network(layers: Layers) -> None:
    probe = GOOD + "RUN ip link show | cat > /tmp/links; ! grep -q eth0 /tmp/links 2>/dev/null; cat /tmp/links\n"
    layer = layers.make("offline", probe)
    call_module("fedsim_images", {"layers": [layer]})
    links = layers.engine.containers.run(layer["ref"], ["cat", "/tmp/links"], remove=True, network_mode="none")
    assert b"lo" in links and b"eth0" not in links


def test_a_missing_context_is_explained(layers: Layers, tmp_path: Path) -> None:
    layer = layers.make("lost", GOOD)
    answer = call_module(
        "fedsim_images", {"layers": [layer], "folder": str(tmp_path / "elsewhere")}, expect_failure=True
    )
    assert "elsewhere/lost.tar is not on this lab host" in answer.msg


def test_info_lists_ours_with_sizes(layers: Layers) -> None:
    layer, other = layers.make("sized", GOOD), layers.make("not-asked-for", GOOD)
    call_module("fedsim_images", {"layers": [layer, other]})
    found = call_module("fedsim_images_info", {"refs": [layer["ref"]]})
    assert list(found["images"]) == [layer["ref"]] and found["arch"] == layer["arch"]
    assert found["disk"] == found["images"][layer["ref"]]["own"]
    assert found["table"][0].startswith("fedsim-test/sized ")


def test_a_credential_helper_that_is_missing_counts_as_no_registry(
    layers: Layers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"credsStore": "nonesuch", "credHelpers": {"registry.test": "nonesuch"}}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    answer = call_module("fedsim_image_base", {"image": "debian:no-such-tag", "platform": "amd64"})
    assert not answer.changed and answer["present"] is False
    assert "the credentials for the registry cannot be read: " in answer["reason"]
    assert "docker-credential-nonesuch not installed" in answer["reason"]
    layer = layers.make("helped", GOOD)
    assert list(call_module("fedsim_images", {"layers": [layer]})["built"]) == [layer["ref"]]


def test_a_registry_that_does_not_answer_is_no_failure() -> None:
    answer = call_module("fedsim_image_base", {"image": "localhost:9/debian:none", "platform": "amd64"})
    assert not answer.changed and answer["present"] is False
    assert "localhost:9" in answer["reason"]
