"""A module's answer does not depend on whether it ran as a program or inside Ansible's own process."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args

from fedsim_runner.testbed.docker.playbook_environment import ansible_environment

from .conftest import LIBRARY, Lab, load_module, make_state

NAMES = sorted(path.stem for path in LIBRARY.glob("fedsim_*.py"))
#: Values for required options, in this form wrong for at least one of them.
FILLED = {
    "str": "not a run",
    "path": "/nowhere/file",
    "list": [],
    "dict": {},
}
NO_ENGINE = "unix:///nowhere.sock"


@dataclass(frozen=True)
class Case:
    """One call of a module; ``check`` and ``diff`` are keywords of the task."""

    module: str
    options: dict[str, Any]
    check: bool = False
    diff: bool = True


def in_worker(cases: Sequence[Case], folder: Path, *keywords: dict[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    """Have Ansible carry out every case; return the results, and the modules that it started as programs.

    ``keywords`` are keywords of each task.
    """
    tasks: list[dict[str, Any]] = [
        {
            f"fedsim.testbed.{case.module}": case.options,
            "check_mode": case.check,
            "diff": case.diff,
            "ignore_errors": True,
            "register": f"result_{number}",
            **(keywords[number] if keywords else {}),
        }
        for number, case in enumerate(cases)
    ]
    results, playbook, inventory = folder / "results.json", folder / "two_ways.yml", folder / "hosts.yml"
    names = ", ".join(f"result_{number}" for number in range(len(cases)))
    tasks.append({"ansible.builtin.copy": {"content": f"{{{{ [{names}] | to_json }}}}", "dest": str(results)}})
    playbook.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    here = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    inventory.write_text(yaml.safe_dump({"all": {"hosts": {"lab": here}}}))
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), "-vvv", "-i", str(inventory), str(playbook)],
        env={**os.environ, **ansible_environment(), "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return json.loads(results.read_text()), re.findall(r"Using module file \S+/(fedsim_\w+)\.py", done.stdout)


def as_program(case: Case) -> dict[str, Any]:
    """Return what the module prints, and what Ansible adds to it."""
    out = io.StringIO()
    internal = {
        "_ansible_check_mode": case.check,
        "_ansible_diff": case.diff,
        "_ansible_module_name": f"fedsim.testbed.{case.module}",
    }
    with patch_module_args({**case.options, **internal}), redirect_stdout(out), pytest.raises(SystemExit):
        load_module(case.module).main()
    return {"changed": False, "failed": False, **json.loads(out.getvalue().strip().splitlines()[-1])}


def assert_same(cases: Sequence[Case], folder: Path) -> None:
    """Assert that every case has the same result both ways."""
    answers, started = in_worker(cases, folder)
    assert not started
    for case, answer in zip(cases, answers, strict=True):
        assert without_durations(answer) == without_durations(as_program(case)), case


def without_durations(result: dict[str, Any]) -> dict[str, Any]:
    """A result without what differs from call to call."""
    stable = {key: value for key, value in result.items() if key not in ("seconds", "exception", "invocation")}
    if "lab_host" in stable:
        stable["lab_host"] = {**stable["lab_host"], "disk_free_bytes": 0, "memory_free_bytes": 0}
    return stable


def test_every_module_has_an_action_plugin() -> None:
    actions = LIBRARY.parent / "action"
    assert sorted(path.stem for path in actions.glob("*.py")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_no_option_is_secret(name: str) -> None:
    """Only AnsibleModule hides values of ``no_log`` options in results."""
    assert not [option for option, spec in load_module(name).ARGUMENTS.items() if spec.get("no_log")]


@pytest.mark.ansible
def test_failures_read_the_same(tmp_path: Path) -> None:
    cases = []
    for name in NAMES:
        specs = load_module(name).ARGUMENTS
        required = {
            option: spec["choices"][0] if "choices" in spec else FILLED[spec["type"]]
            for option, spec in specs.items()
            if spec.get("required")
        }
        engine = {"docker_host": NO_ENGINE} if "docker_host" in specs else {}
        run = {"run": "a-run"} if "run" in specs else {}
        # In check mode: a module without a required option does its work.
        cases += [
            Case(name, {**required, **engine, "surplus": 1}, check=True),
            Case(name, {**engine}, check=True),
            Case(name, {**required, **engine}, check=True),
            Case(name, {**required, **engine, **run}, check=True),
        ]
    assert_same(cases, tmp_path)


@pytest.mark.ansible
def test_a_module_that_would_not_run_here_is_started_as_a_program(tmp_path: Path) -> None:
    """With another Python, with an environment of its own, or in the background."""
    case = Case("fedsim_verdict", {"outcome": {"status": "finished"}})
    elsewhere: tuple[dict[str, Any], ...] = (
        {},
        {"vars": {"ansible_python_interpreter": str(Path(sys.executable).resolve())}},
        {"environment": {"FEDSIM_TEST": "1"}},
        {"async": 30, "poll": 1},
        {"delegate_to": "localhost"},
    )
    answers, started = in_worker([case] * len(elsewhere), tmp_path, *elsewhere)
    assert started == [case.module] * 3
    assert {answer["msg"] for answer in answers} == {"the course finished"}


@pytest.mark.docker
def test_answers_are_the_same(up: Lab, tmp_path: Path) -> None:
    archive = up.root / f"{up.run}.tar"
    make_state(up)
    run = {"run": up.run}
    state = {**run, "state_dir": str(up.state_dir)}
    device_file = {"device_file": str(up.device_file)}
    images = {"images": {"edge-light": up.image}}
    outcome = {"status": "failed", "reason": "exit code 137", "device": "pi-1", "last_lines": ["Killed"]}
    cases = [
        Case("fedsim_lab_host", {"state_root": str(up.root)}, diff=False),
        Case("fedsim_images_info", {}),
        Case("fedsim_state", {**state, "archive": str(archive)}),
        Case("fedsim_network", {**state, "lab_host": "local", "image": up.image}),
        Case("fedsim_agent", {**state, "lab_host": "local", "image": up.image}),
        Case("fedsim_devices", {**state, **device_file, **images}),
        Case("fedsim_devices", {**state, **device_file, **images, "devices": "pi-*"}, diff=False),
        Case("fedsim_devices", {**state, **device_file, **images, "devices": "phone-*"}),
        Case("fedsim_devices", {**state, "state": "absent"}, check=True),
        Case("fedsim_links", {**run, **device_file}, check=True),
        Case("fedsim_course", {**state, "action": "status"}),
        Case("fedsim_course", {**state, "action": "poll"}, check=True),
        Case("fedsim_course", {**state, "action": "start"}, check=True),
        Case("fedsim_collect", {**state, "dest": f"{up.state_dir}/collected.tar"}, check=True),
        Case("fedsim_verdict", {"outcome": outcome}),
        Case("fedsim_verdict", {"outcome": {"status": "finished"}}),
        Case("fedsim_teardown", {**run, "state_root": str(up.root)}, check=True),
    ]
    assert_same(cases, tmp_path)
