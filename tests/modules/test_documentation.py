"""What `ansible-doc` shows of a module is what the module accepts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fedsim_runner.testbed.docker.playbook import ansible_environment

from .conftest import LIBRARY, load_module

NAMES = sorted(path.stem for path in LIBRARY.glob("fedsim_*.py"))
OURS = [name for name in NAMES if hasattr(load_module(name), "ARGUMENTS")]


@pytest.mark.parametrize("name", OURS)
def test_options_are_those_of_the_argument_spec(name: str) -> None:
    module = load_module(name)
    options = yaml.safe_load(module.DOCUMENTATION)["options"]
    assert set(options) == set(module.ARGUMENTS)
    for option, spec in module.ARGUMENTS.items():
        documented = options[option]
        for key in ("type", "required", "default", "choices", "elements"):
            assert documented.get(key) == spec.get(key), f"{option}.{key}"


@pytest.mark.parametrize("name", OURS)
def test_examples_use_the_module(name: str) -> None:
    module = load_module(name)
    for task in yaml.safe_load(module.EXAMPLES):
        assert set(task[f"fedsim.testbed.{name}"] or {}) <= set(module.ARGUMENTS)
    for value in yaml.safe_load(module.RETURN).values():
        assert {"description", "returned", "type"} <= set(value)


def test_ansible_doc_shows_all_of_them() -> None:
    program = str(Path(sys.executable).parent / "ansible-doc")
    full_names = [f"fedsim.testbed.{name}" for name in NAMES]
    environment = {**os.environ, **ansible_environment()}
    shown = subprocess.run([program, "-j", *full_names], capture_output=True, text=True, timeout=120, env=environment)
    assert shown.returncode == 0, shown.stderr
    assert set(json.loads(shown.stdout)) == set(full_names)
