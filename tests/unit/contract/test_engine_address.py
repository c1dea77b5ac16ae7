"""Which Docker Engine is used: the one that ``docker`` itself would use, or a refusal that names it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from fedsim_runner.contract.engine_address import DEFAULT_ENGINE, EngineAddressError, find_engine, is_same_engine
from fedsim_runner.contract.errors import Exit


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The environment of a user whose Docker knows three contexts and uses none of them."""
    for name, host in (("own", "unix:///run/own.sock"), ("far", "ssh://me@lab.test"), ("bare", None)):
        folder = tmp_path / ".docker" / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
        folder.mkdir(parents=True)
        endpoints = {"docker": {"Host": host, "SkipTLSVerify": False}} if host else {}
        (folder / "meta.json").write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": endpoints}))
    return {"HOME": str(tmp_path)}


def use(home: dict[str, str], context: str) -> None:
    (Path(home["HOME"]) / ".docker" / "config.json").write_text(json.dumps({"currentContext": context}))


@pytest.mark.parametrize("text", [None, "{}", '{"currentContext": "default"}', "[1]", "{broken"])
def test_without_settings_it_is_the_default_socket(home: dict[str, str], text: str | None) -> None:
    if text is not None:
        (Path(home["HOME"]) / ".docker" / "config.json").write_text(text)
    assert find_engine(home).url == DEFAULT_ENGINE


def test_variables_come_before_the_current_context(home: dict[str, str]) -> None:
    use(home, "own")
    assert find_engine(home).url == "unix:///run/own.sock"
    assert find_engine(home | {"DOCKER_CONTEXT": "default"}).url == DEFAULT_ENGINE
    here = {"DOCKER_HOST": "unix:///run/here.sock"}
    assert find_engine(home | here | {"DOCKER_CONTEXT": "far"}).url == "unix:///run/here.sock"
    assert find_engine(home | {"DOCKER_HOST": " ", "DOCKER_CONTEXT": ""}).url == "unix:///run/own.sock"
    assert find_engine(home | {"DOCKER_CONFIG": home["HOME"]}).url == DEFAULT_ENGINE


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (
            {"DOCKER_HOST": "tcp://lab.test:2376"},
            "the Docker Engine is tcp://lab.test:2376, but .*, as DOCKER_HOST says",
        ),
        ({"DOCKER_HOST": "ssh://me@lab.test"}, "the Docker Engine is ssh://me@lab.test, but"),
        ({"DOCKER_HOST": "lab.test:2375"}, "the Docker Engine is lab.test:2375, but"),
        ({"DOCKER_CONTEXT": "far"}, r"is ssh://me@lab.test, but .*, as Docker context far \(DOCKER_CONTEXT\) says"),
        ({"DOCKER_CONTEXT": "bare"}, "DOCKER_CONTEXT names the Docker context bare, which has no address"),
        ({"DOCKER_CONTEXT": "gone"}, "DOCKER_CONTEXT names the Docker context gone, which has no address"),
    ],
)
def test_what_is_not_on_this_machine_is_refused_by_name(
    home: dict[str, str], settings: dict[str, str], named: str
) -> None:
    with pytest.raises(EngineAddressError, match=named) as caught:
        find_engine(home | settings)
    assert caught.value.exit is Exit.LAB
    assert "`docker context use default`" in caught.value.hint


def test_a_current_context_is_refused_with_the_file_that_names_it(home: dict[str, str]) -> None:
    use(home, "far")
    with pytest.raises(EngineAddressError, match=rf"as Docker context far \({home['HOME']}/.docker/config.json\) says"):
        find_engine(home)


def test_addresses_are_compared_by_where_they_lead(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to("run")
    assert is_same_engine(f"unix://{tmp_path}/run/docker.sock", f"unix://{tmp_path}/link/docker.sock")
    assert not is_same_engine(f"unix://{tmp_path}/run/docker.sock", DEFAULT_ENGINE)
