"""docker-compose as the baseline: a program that is missing, that fails, and that hangs now and then."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import compose

pytestmark = pytest.mark.process

# Hangs as often as the first file says, then does what the second one says.
STAND_IN = """#!/bin/sh
read -r hangs < {folder}/hangs
if [ "$hangs" -gt 0 ]; then echo $((hangs - 1)) > {folder}/hangs; exec sleep 600; fi
echo "$@" >> {folder}/calls
exit $(cat {folder}/code)
"""


class FakeEngine:
    """Counts what is removed without docker-compose."""

    def __init__(self) -> None:
        self.api = self
        self.removed: list[str] = []

    def containers(self, **_: Any) -> list[dict[str, str]]:
        return [{"Id": "left"}]

    def networks(self, **_: Any) -> list[dict[str, str]]:
        return []

    def remove_container(self, identifier: str, **_: Any) -> None:
        self.removed.append(identifier)


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in place of docker-compose, which may run for a second, and is tried twice."""
    for name, text in (("hangs", "0"), ("code", "0"), ("calls", "")):
        (tmp_path / name).write_text(f"{text}\n" if text else "")
    program = tmp_path / "docker-compose"
    program.write_text(STAND_IN.format(folder=tmp_path))
    program.chmod(0o755)
    monkeypatch.setattr(compose, "PROGRAM", str(program))
    monkeypatch.setattr(compose, "LIMIT_S", 1.0)
    monkeypatch.setattr(compose, "TRIES", 2)
    monkeypatch.setattr(compose, "LIMIT_S_PER_CONTAINER", 0.0)
    return tmp_path


def project_of(folder: Path) -> tuple[compose.ComposeProject, FakeEngine]:
    engine = FakeEngine()
    return compose.ComposeProject(engine, folder, 3), engine  # type: ignore[arg-type]


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(SystemExit, match="apt-get install docker-compose"):
        compose.require_compose()


def test_a_command_that_hangs_is_ended_cleaned_up_and_tried_again(stand_in: Path) -> None:
    (stand_in / "hangs").write_text("1\n")
    project, engine = project_of(stand_in)
    assert project.up() < 1.0, "the seconds of the try that hung do not count"
    assert (project.hung, engine.removed) == (1, ["left"])
    project.down()
    assert (stand_in / "calls").read_text().splitlines() == ["up -d", "down -t 0"]


def test_one_that_always_hangs_ends_the_benchmark_and_leaves_nothing(stand_in: Path) -> None:
    (stand_in / "hangs").write_text("9\n")
    project, engine = project_of(stand_in)
    with pytest.raises(SystemExit, match="hung 2 times"):
        project.down()
    assert engine.removed == ["left"]


def test_a_failure_is_shown(stand_in: Path) -> None:
    (stand_in / "code").write_text("3\n")
    project, engine = project_of(stand_in)
    with pytest.raises(SystemExit, match="exited 3"):
        project.up()
    assert engine.removed == ["left"]


def test_the_project_has_the_images_and_limits_of_the_devices(tmp_path: Path) -> None:
    run_folder = tmp_path / "run"
    run_folder.mkdir()
    (run_folder / "plan.json").write_text(
        '{"devices": [{"name": "server", "type": "hub", "cpus": 0.3, "memory_bytes": 512},'
        '{"name": "m1", "type": "mote", "cpus": 0.01, "memory_bytes": 64},'
        '{"name": "m2", "type": "mote", "cpus": 0.01, "memory_bytes": 64}]}'
    )
    inspected = {"Config": {"Image": "an-image"}, "HostConfig": {"PidsLimit": 7}}
    listed = [{"Id": name, "Labels": {"org.fedsim.device": name}} for name in ("server", "m1", "m2")]
    api = SimpleNamespace(containers=lambda **_: listed, inspect_container=lambda _: inspected)
    count = compose.write_compose_file(SimpleNamespace(api=api), run_folder, "r", tmp_path / "project")
    assert count == 3
    text = (tmp_path / "project" / "docker-compose.yml").read_text()
    services = compose.yaml.safe_load(text)["services"]
    assert {name: service["scale"] for name, service in services.items()} == {"hub": 1, "mote": 2}
    assert services["mote"] == {
        "image": "an-image", "entrypoint": ["sleep", "infinity"], "scale": 2, "cpus": 0.01, "mem_limit": 64,
        "pids_limit": 7,
    }  # fmt: skip
