"""What plain Ansible prints while it follows a course."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fedsim_runner.testbed.docker.playbook_environment import ansible_environment

pytestmark = pytest.mark.ansible

# The results of successive polls, as fedsim_course returns them.
POLLS = [
    {"fedsim_news": [{"t": 1.0, "event": "gate_opened"}], "fedsim_snapshot": None, "finished": False},
    {
        "fedsim_news": [
            {"t": 2.0, "event": "round_started", "round": 1},
            {"t": 3.5, "event": "evaluated", "round": 1, "results": {"test_acc": 0.5}},
        ],
        "fedsim_snapshot": {"t": 3.0, "round": 1, "total_rounds": 2, "devices": {}},
        "finished": False,
    },
    {"fedsim_news": [], "fedsim_snapshot": {"t": 4.0, "round": 1, "total_rounds": 2, "devices": {}}, "finished": False},
    {
        "fedsim_news": [
            {"t": 4.0, "event": "round_started", "round": 2},
            {"t": 6.0, "event": "evaluated", "round": 2, "results": {"test_acc": 0.75}},
        ],
        "fedsim_snapshot": {"t": 6.0, "round": 2, "total_rounds": 2, "devices": {}},
        "finished": True,
    },
]
MODULE = """\
import json, pathlib
from ansible.module_utils.basic import AnsibleModule
module = AnsibleModule({"folder": {}})
polls = sorted(pathlib.Path(module.params["folder"]).glob("*.json"))
poll = json.loads(polls[0].read_text())
polls[0].unlink()
module.exit_json(changed=False, **poll)
"""
PLAY = """\
- name: Course
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Follow the course
      observe: {folder: "{{ polls }}"}
      register: course
      until: course.finished
      retries: 10
      delay: 0
    - name: Something else
      ansible.builtin.command: 'false'
      register: other
      until: other.rc == 0
      retries: 1
      delay: 0
      ignore_errors: true
"""


@pytest.fixture
def output(tmp_path: Path) -> list[str]:
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "observe.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "play.yml").write_text(PLAY, encoding="utf-8")
    (tmp_path / "polls").mkdir()
    for number, poll in enumerate(POLLS):
        (tmp_path / "polls" / f"{number}.json").write_text(json.dumps(poll), encoding="utf-8")
    clean = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    variables = {"polls": str(tmp_path / "polls"), "ansible_python_interpreter": sys.executable}
    done = subprocess.run(
        ["ansible-playbook", "-i", "localhost,", "-c", "local", "play.yml", "-e", json.dumps(variables)],
        cwd=tmp_path,
        env={**clean, **ansible_environment(), "ANSIBLE_NOCOLOR": "1", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr
    return done.stdout.splitlines()


def test_each_round_has_a_line_and_a_poll_is_not_a_failure(output: list[str]) -> None:
    begin = output.index(next(line for line in output if line.startswith("TASK [Follow the course]")))
    end = output.index("ok: [localhost]")
    assert output[begin + 1 : end] == [
        "  all links are in force, the gate is open",
        "  training starts",
        "  round 1/2  accuracy 0.5000  1.50 s",
        "  round 2/2  accuracy 0.7500  2.50 s",
    ]
    other = [line for line in output if "FAILED - RETRYING" in line]
    assert other, "other tasks are shown as usual"
    assert all(line.startswith("FAILED - RETRYING: [localhost]: Something else") for line in other)
