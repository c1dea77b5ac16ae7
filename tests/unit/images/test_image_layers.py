"""Keys change exactly when what goes into an image changes; parents come first; archives repeat byte for byte."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from fedsim_runner.catalog import load_catalog
from fedsim_runner.images import ImageError, Layer, LayerSources, all_logical_names, plan_layers
from fedsim_runner.images.context import assemble


@pytest.fixture
def sources(tmp_path: Path) -> LayerSources:
    dockerfiles = tmp_path / "dockerfiles"
    for name, argument in [("base", "BASE"), ("engine-light", "BASE"), ("agent", "BASE"), ("toy-board", "ENGINE")]:
        (dockerfiles / name).mkdir(parents=True)
        (dockerfiles / name / "Dockerfile").write_text(f"ARG {argument}\nFROM ${{{argument}}}\n")
    for name in ("participant", "agent"):
        (tmp_path / "package" / name).mkdir(parents=True)
        (tmp_path / "package" / name / "__init__.py").write_text("")
    return LayerSources(dockerfiles=(dockerfiles,), packages=tmp_path / "package")


def keys(sources: LayerSources, arch: str = "amd64", base: str = "auto") -> dict[str, str]:
    wanted = {"toy-board-light": arch, "agent": arch}
    return {layer.name: layer.key for layer in plan_layers(wanted, sources, base=base)}


def test_parents_come_first_and_once(sources: LayerSources) -> None:
    layers = plan_layers({"toy-board-light": "amd64", "agent": "amd64"}, sources)
    names = [layer.name for layer in layers]
    assert sorted(names) == ["agent", "base", "engine-light", "toy-board-light"]
    for position, layer in enumerate(layers):
        assert layer.parent is None or layer.parent in [before.ref for before in layers[:position]]
    board = next(layer for layer in layers if layer.name == "toy-board-light")
    assert (board.parent_argument, board.ref) == ("ENGINE", f"fedsim/toy-board-light:{board.key}")


def _edit_base(folder: Path) -> None:
    (folder / "dockerfiles/base/Dockerfile").write_text("ARG BASE\nFROM ${BASE}\nENV A=1\n")


def _edit_participant(folder: Path) -> None:
    (folder / "package/participant/__init__.py").write_text("x = 1\n")


def _add_requirement(folder: Path) -> None:
    (folder / "dockerfiles/agent/requirements.txt").write_text("docker==7.1.0\n")


def _make_executable(folder: Path) -> None:
    (folder / "dockerfiles/toy-board/Dockerfile").chmod(0o755)


@pytest.mark.parametrize(
    ("edit", "changed"),
    [
        (_edit_base, {"base", "engine-light", "agent", "toy-board-light"}),
        (_edit_participant, {"engine-light", "toy-board-light"}),
        (_add_requirement, {"agent"}),
        (_make_executable, {"toy-board-light"}),
    ],
)
def test_an_edit_reaches_what_stands_on_it_and_nothing_else(
    sources: LayerSources, tmp_path: Path, edit: Callable[[Path], None], changed: set[str]
) -> None:
    before = keys(sources)
    edit(tmp_path)
    after = keys(sources)
    assert {name for name in before if before[name] != after[name]} == changed


def test_what_does_not_reach_an_image_changes_no_key(sources: LayerSources, tmp_path: Path) -> None:
    before = keys(sources)
    cache = tmp_path / "package/participant/__pycache__"
    cache.mkdir()
    (cache / "x.cpython-311.pyc").write_bytes(b"bytecode")
    (tmp_path / "dockerfiles/base/.Dockerfile.swp").write_bytes(b"an editor's")
    (tmp_path / "package/participant/__init__.py").touch()
    assert keys(sources) == before


def test_architecture_and_base_are_inputs(sources: LayerSources) -> None:
    assert not set(keys(sources).values()) & set(keys(sources, arch="arm64").values())
    assert not set(keys(sources).values()) & set(keys(sources, base="bootstrap").values())


def test_a_device_type_without_folder_is_named_with_the_mend(sources: LayerSources) -> None:
    with pytest.raises(ImageError, match=r"no Dockerfile in dockerfiles/drone; folders with one: .*toy-board"):
        plan_layers({"drone-light": "amd64"}, sources)
    with pytest.raises(ImageError, match="dockerfiles/engine-heavy"):
        plan_layers({"toy-board-heavy": "amd64"}, sources)
    with pytest.raises(ImageError, match="not the name of an image"):
        plan_layers({"toyboard": "amd64"}, sources)


def test_a_users_own_folder_comes_first(sources: LayerSources, tmp_path: Path) -> None:
    own = tmp_path / "mine" / "toy-board"
    own.mkdir(parents=True)
    (own / "Dockerfile").write_text("ARG ENGINE\nFROM ${ENGINE}\nENV MINE=1\n")
    both = LayerSources(dockerfiles=(tmp_path / "mine", *sources.dockerfiles), packages=sources.packages)
    assert keys(both)["toy-board-light"] != keys(sources)["toy-board-light"]
    assert keys(both)["engine-light"] == keys(sources)["engine-light"]


def test_a_context_holds_what_the_dockerfile_copies(sources: LayerSources, tmp_path: Path) -> None:
    layers = plan_layers({"toy-board-light": "amd64"}, sources)
    contexts = {context.layer.name: context for context in assemble(layers, tmp_path / "cache", bootstrap=False)}
    with tarfile.open(contexts["engine-light"].archive) as archive:
        assert archive.getnames() == ["Dockerfile", "participant/__init__.py"]
    first = contexts["engine-light"].archive.read_bytes()
    again = assemble(layers, tmp_path / "cache2", bootstrap=False)
    assert next(context.archive for context in again if context.layer.name == "engine-light").read_bytes() == first
    assert not list((tmp_path / "cache" / "contexts").glob("context-*"))


def test_every_device_type_of_the_catalogue_has_a_dockerfile() -> None:
    installed = LayerSources.installed()
    names = all_logical_names(installed)
    assert "agent" in names
    for device_type in load_catalog().device_types.values():
        assert f"{device_type.dockerfile}-light" in names


def test_the_layer_of_a_requirement_file(sources: LayerSources, tmp_path: Path) -> None:
    def agent() -> Layer:
        return next(layer for layer in plan_layers({"agent": "amd64"}, sources) if layer.name == "agent")

    assert agent().requirements is None
    _add_requirement(tmp_path)
    requirements = agent().requirements
    assert requirements is not None and requirements.name == "requirements.txt"
