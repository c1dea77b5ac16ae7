"""Roles: their READMEs, their variables' names, and preflight's messages."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.device_files import device_file

REPOSITORY = Path(__file__).resolve().parent.parent.parent
SPECS = sorted((REPOSITORY / "roles").glob("*/meta/argument_specs.yml"))


def test_readmes_are_those_of_the_argument_specs() -> None:
    generator = runpy.run_path(str(REPOSITORY / "tools" / "role_readmes.py"))
    for path, text in generator["render_all"]().items():
        assert path.read_text(encoding="utf-8") == text, f"{path}: run python tools/role_readmes.py"


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.parent.parent.name)
def test_variables_are_typed_prefixed_and_have_their_defaults(path: Path) -> None:
    role = path.parent.parent
    options = yaml.safe_load(path.read_text())["argument_specs"]["main"]["options"]
    defaults_file = role / "defaults" / "main.yml"
    defaults = yaml.safe_load(defaults_file.read_text()) if defaults_file.exists() else {}
    for name, option in options.items():
        assert name.startswith(f"{role.name}_")
        assert option["type"]
        assert option.get("required") or defaults[name] == option.get("default", defaults[name]), name
    assert set(defaults) == {name for name, option in options.items() if not option.get("required")}


@pytest.mark.parametrize("path", sorted((REPOSITORY / "playbooks").glob("*.yml")), ids=lambda path: path.stem)
def test_each_stage_has_a_tag_of_its_name(path: Path) -> None:
    for play in yaml.safe_load(path.read_text(encoding="utf-8")):
        if "hosts" in play:
            assert play["name"].lower().replace(" ", "_") in play["tags"]


def playbook(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), f"playbooks/{name}", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--limit", "devices"], "use -e fedsim_devices=PATTERN instead of --limit"),
        (["-e", "fedsim_run=Not_A_Run"], "use lower case letters"),
        (["-e", json.dumps({"fedsim_device_file": "/nowhere.json"})], "A device file is missing: /nowhere.json"),
    ],
)
def test_preflight_names_the_fix(arguments: list[str], message: str) -> None:
    done = playbook("up.yml", *arguments)
    assert done.returncode != 0
    assert message in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 9}, "device file {path} has version 9, and this fedsim-runner reads versions 1, 2, 3"),
        ({"devices": [{}]}, "device file {path} is damaged: devices[0].name: missing"),
        (None, "device file {path} is not valid JSON: Expecting property name"),
    ],
)
def test_preflight_says_what_is_wrong_with_a_device_file(
    change: dict[str, object] | None, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "local.json"
    path.write_text("{" if change is None else json.dumps({**device_file().as_dict(), **change}), encoding="utf-8")
    done = playbook("up.yml", "--tags", "preflight", "-e", json.dumps({"fedsim_device_file": str(path)}))
    assert done.returncode != 0
    assert message.format(path=path) in " ".join(done.stdout.split())


@pytest.mark.docker
def test_destroy_of_a_run_that_never_was() -> None:
    done = playbook("destroy.yml", "-e", "fedsim_run=never-was")
    assert done.returncode == 0, done.stdout
    assert "changed=0" in done.stdout
