"""Keys change exactly when what goes into an image changes; parents come first; archives repeat byte for byte."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.catalog.load import load_catalog
from fedsim_runner.testbed.docker.images import (
    ImageError,
    Layer,
    LayerSources,
    all_logical_names,
    build_context,
    plan_layers,
)
from fedsim_runner.testbed.docker.images.build_context import assemble, choose

PARTICIPANT = [f"fedsim_runner/{path}" for path in ("__init__.py", "contract/__init__.py", "participant/__init__.py")]


@pytest.fixture
def sources(tmp_path: Path) -> LayerSources:
    dockerfiles = tmp_path / "dockerfiles"
    for name, argument in [("base", "BASE"), ("engine-light", "BASE"), ("agent", "BASE"), ("toy-board", "ENGINE")]:
        (dockerfiles / name).mkdir(parents=True)
        (dockerfiles / name / "Dockerfile").write_text(f"ARG {argument}\nFROM ${{{argument}}}\n")
    for name in ("contract", "participant", "agent"):
        (tmp_path / "package" / name).mkdir(parents=True)
        (tmp_path / "package" / name / "__init__.py").write_text("")
    (tmp_path / "package" / "__init__.py").write_text("")
    return LayerSources(dockerfiles=(dockerfiles,), package=tmp_path / "package")


def keys(sources: LayerSources, arch: str = "amd64", base: str = "auto") -> dict[str, str]:
    images = {"toy-board-light": arch, "agent": arch}
    return {layer.name: layer.key for layer in plan_layers(images, sources, base=base)}


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
def test_an_edit_changes_the_layers_above_it_and_nothing_else(
    sources: LayerSources, tmp_path: Path, edit: Callable[[Path], None], changed: set[str]
) -> None:
    before = keys(sources)
    edit(tmp_path)
    after = keys(sources)
    assert {name for name in before if before[name] != after[name]} == changed


def test_files_that_are_not_in_an_image_change_no_key(sources: LayerSources, tmp_path: Path) -> None:
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


def test_a_device_type_without_folder_is_named_with_a_hint(sources: LayerSources) -> None:
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
    both = LayerSources(dockerfiles=(tmp_path / "mine", *sources.dockerfiles), package=sources.package)
    assert keys(both)["toy-board-light"] != keys(sources)["toy-board-light"]
    assert keys(both)["engine-light"] == keys(sources)["engine-light"]


def test_a_context_holds_what_the_dockerfile_copies(sources: LayerSources, tmp_path: Path) -> None:
    layers = plan_layers({"toy-board-light": "amd64"}, sources)
    contexts = {context.layer.name: context for context in assemble(layers, tmp_path / "cache")}
    with tarfile.open(contexts["engine-light"].archive) as archive:
        assert archive.getnames() == ["Dockerfile", *PARTICIPANT]
    first = contexts["engine-light"].archive.read_bytes()
    again = assemble(layers, tmp_path / "cache2")
    assert next(context.archive for context in again if context.layer.name == "engine-light").read_bytes() == first
    assert not list((tmp_path / "cache" / "contexts").glob("context-*"))


def test_layers_of_another_plan_are_named(sources: LayerSources, tmp_path: Path) -> None:
    images = {"toy-board-light": "amd64", "agent": "amd64"}
    planned = plan_layers(images, sources)
    refs = [layer.ref for layer in planned if layer.name != "base"]
    assert [layer.ref for layer in choose(planned, refs)] == refs
    _edit_participant(tmp_path)
    with pytest.raises(ImageError, match=r"has changed since .* that of engine-light, toy-board-light: leave Docker"):
        choose(plan_layers(images, sources), refs)


def test_no_archive_has_other_files_than_its_name_says(sources: LayerSources, tmp_path: Path) -> None:
    layers = plan_layers({"toy-board-light": "amd64"}, sources)
    _edit_participant(tmp_path)
    with pytest.raises(ImageError, match="that of engine-light"):
        assemble(layers, tmp_path / "cache")
    contexts = tmp_path / "cache" / "contexts"
    assert [path.name for path in contexts.iterdir()] == [f"base-{layers[0].key}.tar"]


@dataclass(frozen=True)
class Fork:
    """A source of FederatedScope that is only a name and a file."""

    name: str
    folder: Path

    def identity(self) -> str:
        return self.name

    def refuse(self, config: Mapping[str, Any]) -> None:
        """This source accepts every key."""

    def wheel(self) -> Path:
        path = self.folder / "federatedscope-0.3.0-py3-none-any.whl"
        path.write_text(self.name)
        return path


@pytest.fixture
def with_torch(sources: LayerSources, tmp_path: Path) -> Callable[[str], LayerSources]:
    for name in ("torch", "engine-federatedscope"):
        (tmp_path / "dockerfiles" / name).mkdir()
        (tmp_path / "dockerfiles" / name / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\n")
    return lambda name: replace(sources, sources={"federatedscope": Fork(name, tmp_path)})


FS_NAMES = ("toy-board-federatedscope", "toy-board-federatedscope-cuda")


def federatedscope_layers(sources: LayerSources) -> dict[str, Layer]:
    return {layer.name: layer for layer in plan_layers(dict.fromkeys(FS_NAMES, "amd64"), sources)}


def test_federatedscope_is_built_on_torch(with_torch: Callable[[str], LayerSources]) -> None:
    layers = federatedscope_layers(with_torch("upstream"))
    for variant in ("", "-cuda"):
        board = layers[f"toy-board-federatedscope{variant}"]
        engine = layers[f"engine-federatedscope{variant}"]
        torch = layers[f"torch{variant}"]
        assert (board.parent, engine.parent, torch.parent) == (engine.ref, torch.ref, layers["base"].ref)
        assert (board.directory.name, engine.directory.name, torch.directory.name) == (
            "toy-board",
            "engine-federatedscope",
            "torch",
        )
    assert layers["torch"].key != layers["torch-cuda"].key


def test_cuda_installs_another_list(with_torch: Callable[[str], LayerSources], tmp_path: Path) -> None:
    for name in ("requirements", "requirements-amd64", "requirements-cuda"):
        (tmp_path / "dockerfiles/torch" / f"{name}.txt").write_text("torch==1\n")
    layers = federatedscope_layers(with_torch("upstream"))
    assert [path.stem for path in layers["torch"].requirements] == ["requirements", "requirements-amd64"]
    assert [path.stem for path in layers["torch-cuda"].requirements] == ["requirements", "requirements-cuda"]


def test_the_source_of_federatedscope_reaches_its_layers_only(with_torch: Callable[[str], LayerSources]) -> None:
    upstream, fork = federatedscope_layers(with_torch("upstream")), federatedscope_layers(with_torch("fork"))
    changed = {name for name in upstream if upstream[name].key != fork[name].key}
    assert changed == {*FS_NAMES, "engine-federatedscope", "engine-federatedscope-cuda"}
    assert keys(with_torch("upstream")) == keys(with_torch("fork"))


def test_the_light_engine_never_asks_for_federatedscope(sources: LayerSources) -> None:
    class Untouched:
        def identity(self) -> str:
            raise AssertionError("asked for")

        wheel = refuse = identity

    assert keys(replace(sources, sources={"federatedscope": Untouched()})) == keys(sources)


def test_without_a_source_there_is_no_image(with_torch: Callable[[str], LayerSources]) -> None:
    with pytest.raises(ImageError, match="no source of FederatedScope was named"):
        federatedscope_layers(replace(with_torch("x"), sources={}))


def test_the_wheel_of_federatedscope_is_in_its_context(
    with_torch: Callable[[str], LayerSources], tmp_path: Path
) -> None:
    layers = plan_layers({"toy-board-federatedscope": "amd64"}, with_torch("upstream"))
    contexts = {context.layer.name: context for context in assemble(layers, tmp_path / "cache")}
    with tarfile.open(contexts["engine-federatedscope"].archive) as archive:
        wheel = "wheels/federatedscope-0.3.0-py3-none-any.whl"
        assert archive.getnames() == ["Dockerfile", wheel, *PARTICIPANT]
    with tarfile.open(contexts["torch"].archive) as archive:
        assert archive.getnames() == ["Dockerfile"]


def test_a_source_that_cannot_be_obtained_leaves_nothing_behind(
    with_torch: Callable[[str], LayerSources], tmp_path: Path
) -> None:
    class Gone(Fork):
        def wheel(self) -> Path:
            raise ImageError("gone")

    sources = replace(with_torch("x"), sources={"federatedscope": Gone("gone", tmp_path)})
    with pytest.raises(ImageError, match="gone"):
        assemble(plan_layers(dict.fromkeys(FS_NAMES, "amd64"), sources), tmp_path / "cache", bootstrap=["amd64"])
    assert not (tmp_path / "cache").exists()


def test_every_device_type_of_the_catalogue_has_a_dockerfile() -> None:
    installed = LayerSources.installed()
    names = all_logical_names(installed, ["light", "federatedscope"])
    assert "agent" in names and not any(name.startswith("torch") for name in names)
    for device_type in load_catalog().device_types.values():
        assert {f"{device_type.dockerfile}-light", f"{device_type.dockerfile}-federatedscope"} <= set(names)


def test_the_layer_of_a_requirement_file(sources: LayerSources, tmp_path: Path) -> None:
    def agent() -> Layer:
        return next(layer for layer in plan_layers({"agent": "amd64"}, sources) if layer.name == "agent")

    assert agent().requirements == ()
    _add_requirement(tmp_path)
    (tmp_path / "dockerfiles/agent/requirements-amd64.txt").write_text("numpy==2.0.0\n")
    (tmp_path / "dockerfiles/agent/requirements-arm64.txt").write_text("numpy==2.0.1\n")
    (tmp_path / "dockerfiles/agent/build-requirements.txt").write_text("idna==3.7\n")
    assert [path.name for path in agent().requirements] == ["requirements.txt", "requirements-amd64.txt"]
    assert [path.name for path in agent().build_requirements] == ["build-requirements.txt"]


def test_packages_of_the_user_reach_the_layer_of_their_engine(
    with_torch: Callable[[str], LayerSources], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dockerfiles/torch/requirements.txt").write_text("torch==1\n")
    (tmp_path / "dockerfiles/torch/requirements-cuda.txt").write_text("nvidia==2\n")
    without = with_torch("upstream")
    plain = federatedscope_layers(without)
    more = federatedscope_layers(replace(without, packages={"federatedscope": ("einops", "timm==1.0")}))
    engines = {"engine-federatedscope", "engine-federatedscope-cuda"}
    assert {name for name in plain if plain[name].key != more[name].key} == {*FS_NAMES, *engines}
    assert {name for name, layer in more.items() if layer.packages} == engines
    assert [path.name for path in more["engine-federatedscope-cuda"].below] == [
        "requirements.txt",
        "requirements-cuda.txt",
    ]
    wheel = tmp_path / "einops-0.8.0-py3-none-any.whl"
    wheel.touch()
    monkeypatch.setattr(build_context, "wheels_for", lambda *_: ())
    monkeypatch.setattr(build_context, "user_wheels", lambda packages, *_: [wheel] if packages else [])
    contexts = assemble(tuple(more.values()), tmp_path / "cache")
    with_wheel = {context.layer.name for context in contexts if f"wheels/{wheel.name}" in _names_in(context.archive)}
    assert with_wheel == engines


def _names_in(archive: Path) -> list[str]:
    with tarfile.open(archive) as tar:
        return tar.getnames()
