"""`ansible-doc` shows the options that a module accepts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from fedsim_runner.testbed.docker.playbook_environment import ansible_environment

from .conftest import LIBRARY, load_module

NAMES = sorted(path.stem for path in LIBRARY.glob("fedsim_*.py"))
OURS = [name for name in NAMES if hasattr(load_module(name), "ARGUMENTS")]


@pytest.fixture(scope="module")
def documented() -> dict[str, Any]:
    """The documentation of all modules, fragments included."""
    program = str(Path(sys.executable).parent / "ansible-doc")
    full_names = [f"fedsim.testbed.{name}" for name in NAMES]
    environment = {**os.environ, **ansible_environment()}
    shown = subprocess.run([program, "-j", *full_names], capture_output=True, text=True, timeout=120, env=environment)
    assert shown.returncode == 0, shown.stderr
    return {name.removeprefix("fedsim.testbed."): entry["doc"] for name, entry in json.loads(shown.stdout).items()}


@pytest.mark.parametrize("name", OURS)
def test_options_are_those_of_the_argument_spec(name: str, documented: dict[str, Any]) -> None:
    module = load_module(name)
    options = documented[name]["options"]
    assert set(options) == set(module.ARGUMENTS)
    for option, spec in module.ARGUMENTS.items():
        found = options[option]
        for key in ("type", "required", "default", "choices", "elements"):
            assert found.get(key) == spec.get(key), f"{option}.{key}"


@pytest.mark.parametrize("name", OURS)
def test_examples_use_the_module(name: str) -> None:
    module = load_module(name)
    for task in yaml.safe_load(module.EXAMPLES):
        assert set(task[f"fedsim.testbed.{name}"] or {}) <= set(module.ARGUMENTS)
    for value in yaml.safe_load(module.RETURN).values():
        assert {"description", "returned", "type"} <= set(value)


def test_ansible_doc_shows_all_of_them(documented: dict[str, Any]) -> None:
    assert set(documented) == set(NAMES)
    for name, shown in documented.items():
        assert set(shown["attributes"]) == {"check_mode", "diff_mode"}, name


def test_ansible_doc_can_print_them() -> None:
    full_names = [f"fedsim.testbed.{name}" for name in NAMES]
    environment = {**os.environ, **ansible_environment()}
    program = str(Path(sys.executable).parent / "ansible-doc")
    shown = subprocess.run([program, *full_names], capture_output=True, text=True, timeout=120, env=environment)
    assert shown.returncode == 0, shown.stderr
