"""ansible-runner's traps, each shown on a real playbook that ansible-playbook runs on localhost."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.contract.claim import RUN_VARIABLE
from fedsim_runner.testbed.docker.playbook import Playbook, PlaybookResult, run_playbook
from fedsim_runner.testbed.docker.playbook_environment import CALL_VARIABLE
from fedsim_runner.testbed.orphans import processes_with
from fedsim_runner.testbed.values import Failure

pytestmark = pytest.mark.ansible


class RecordingListener:
    """A listener that records."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.events: list[Mapping[str, Any]] = []
        self.staged = threading.Event()
        self.stop = threading.Event()

    def stage(self, name: str) -> None:
        self.stages.append(name)
        self.staged.set()

    def detail(self, text: str) -> None:
        pass

    def event(self, event: Mapping[str, Any]) -> None:
        self.events.append(event)

    def cancelled(self) -> bool:
        return self.stop.is_set()


INVENTORY = """\
all:
  children:
    lab_hosts:
      hosts:
        here: {ansible_connection: local, ansible_python_interpreter: "{{ ansible_playbook_python }}"}
"""


class Stage:
    """A folder with one playbook and an inventory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.listener = RecordingListener()
        self.log = io.StringIO()
        self.stop = self.listener.stop
        (folder / "hosts.yml").write_text(INVENTORY, encoding="utf-8")

    def run(self, text: str, expected: tuple[str, ...] = ("here",), **extra_vars: Any) -> PlaybookResult:
        (self.folder / "play.yml").write_text(text, encoding="utf-8")
        playbook = Playbook("play.yml", [self.folder / "hosts.yml"], "tiny", expected, extra_vars)
        return run_playbook(playbook, self.log, self.listener, self.folder)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def play(tasks: str, hosts: str = "lab_hosts", name: str = "devices") -> str:
    return f"- name: {name}\n  hosts: {hosts}\n  gather_facts: false\n  tasks:\n{tasks}"


def test_a_playbook_succeeds_with_stages_log_and_typed_variables(stage: Stage) -> None:
    text = play(
        "    - ansible.builtin.assert: {that: [fedsim_keep is boolean, fedsim_keep, word == 'two words']}\n"
        "    - ansible.builtin.command: 'true'\n"
    )
    result = stage.run(text, fedsim_keep=True, word="two words")
    assert result.status == "successful", stage.log.getvalue()
    assert result.changed == 1
    assert stage.listener.stages == ["devices"]
    assert "PLAY [devices]" in stage.log.getvalue()
    assert "\x1b" not in stage.log.getvalue()


def test_no_host_matched_is_a_failure(stage: Stage) -> None:
    result = stage.run(play("    - ansible.builtin.ping:\n", hosts="nobody"))
    assert result.status == "failed"
    assert result.failure is not None
    assert "did not reach here" in result.failure.text


def test_one_of_two_lab_hosts_not_reached_is_a_failure(stage: Stage) -> None:
    result = stage.run(play("    - ansible.builtin.ping:\n"), expected=("here", "there"))
    assert result.status == "failed"
    assert result.failure is not None
    assert "did not reach there" in result.failure.text


def test_the_message_of_a_failed_task_is_text_not_json(stage: Stage) -> None:
    result = stage.run(play("    - ansible.builtin.fail: {msg: the kernel has no netem}\n", name="links"))
    assert result.failure is not None
    assert (result.failure.stage, result.failure.host) == ("links", "here")
    assert result.failure.text == "the kernel has no netem"


def test_an_ignored_failure_is_not_the_reason(stage: Stage) -> None:
    text = play(
        "    - ansible.builtin.fail: {msg: the reason}\n      when: really\n"
        "    - ansible.builtin.fail: {msg: ignored}\n      ignore_errors: true\n"
    )
    assert stage.run(text, really=False).status == "successful"
    failed = stage.run(text, really=True)
    assert failed.failure is not None
    assert failed.failure.text == "the reason"


def test_a_syntax_error_is_reported(stage: Stage) -> None:
    result = stage.run("- name: x\n  hosts: lab_hosts\n  tusks: []\n")
    assert result.status == "failed"
    assert result.failure is not None
    assert "tusks" in result.failure.text


def test_the_callers_ansible_variables_are_ignored(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_CONFIG", "/nonexistent/ansible.cfg")
    monkeypatch.setenv("ANSIBLE_LIBRARY", "/nonexistent")
    monkeypatch.setenv("ANSIBLE_STRATEGY", "nonsense")
    assert stage.run(play("    - ansible.builtin.ping:\n")).status == "successful"
    assert os.environ["ANSIBLE_STRATEGY"] == "nonsense"


def test_ssh_checks_host_keys(stage: Stage) -> None:
    asked = "lookup('ansible.builtin.config', 'host_key_checking', plugin_type='connection', plugin_name='ssh')"
    assert stage.run(play(f'    - ansible.builtin.assert: {{that: "{asked}"}}\n')).status == "successful"


def test_the_virtual_environment_need_not_be_on_the_path(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert stage.run(play("    - ansible.builtin.ping:\n")).status == "successful"


def test_an_environment_that_is_not_utf8_does_no_harm(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "NAME_\udce9", "x")
    monkeypatch.setenv("WORD", "\udce9")
    monkeypatch.setenv("PATH", "/opt/caf\udce9/bin:/usr/bin:/bin")
    assert stage.run(play("    - ansible.builtin.ping:\n")).status == "successful"
    assert os.environ["WORD"] == "\udce9"


def test_a_missing_locale_does_no_harm(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_XX.latin1")
    assert stage.run(play("    - ansible.builtin.ping:\n")).status == "successful"


def test_a_second_call_inherits_nothing_from_the_first(stage: Stage) -> None:
    text = play("    - ansible.builtin.fail: {msg: '{{ word | default(\"nothing\") }}'}\n")
    first, second = stage.run(text, word="old"), stage.run(text)
    assert first.failure is not None
    assert second.failure is not None
    assert (first.failure.text, second.failure.text) == ("old", "nothing")


def test_events_come_from_results_and_from_each_try(stage: Stage) -> None:
    library = stage.folder / "library"
    library.mkdir()
    (library / "count.py").write_text(
        "import json, pathlib, sys\n"
        "from ansible.module_utils.basic import AnsibleModule\n"
        "m = AnsibleModule({'path': {}})\n"
        "p = pathlib.Path(m.params['path']); n = int(p.read_text() or 0) + 1; p.write_text(str(n))\n"
        "m.exit_json(changed=False, tries=n, fedsim_news=[{'t': n, 'event': 'round_started', 'round': n}])\n",
        encoding="utf-8",
    )
    (stage.folder / "count").write_text("0", encoding="utf-8")
    text = play(
        f"    - count: {{path: {stage.folder / 'count'}}}\n"
        "      register: counted\n      until: counted.tries == 3\n      retries: 5\n      delay: 0\n"
    )
    assert stage.run(text).status == "successful", stage.log.getvalue()
    assert [event["round"] for event in stage.listener.events] == [1, 2, 3]


def test_cancelling_ends_the_playbook_and_its_modules(stage: Stage) -> None:
    marker = stage.folder / "module-went-on"
    text = play(f"    - ansible.builtin.shell: 'sleep 4; touch {marker}'\n")
    results: list[PlaybookResult] = []
    thread = threading.Thread(target=lambda: results.append(stage.run(text)))
    thread.start()
    end = time.monotonic() + 30
    while not _sleeping() and time.monotonic() < end:
        time.sleep(0.05)
    stage.stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert results[0].status == "canceled"
    assert list(processes_with(RUN_VARIABLE, "tiny")) == []
    time.sleep(4)
    assert not marker.exists()


def _sleeping() -> bool:
    """Whether the playbook's sleep command is running."""
    for pid, environment in processes_with(RUN_VARIABLE, "tiny"):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0] == b"sleep" and CALL_VARIABLE in environment:
            return True
    return False


@pytest.mark.parametrize(
    ("text", "helps"),
    [
        ("Task failed: Missing sudo password", "-K"),
        ("Attempting to decrypt but no vault secrets found.", "--vault-id"),
        ("Decryption failed (no vault secrets were found that could decrypt)", "--vault-id"),
    ],
)
def test_what_opens_a_lab_host_is_named(text: str, helps: str) -> None:
    failure = Failure("probe", None, "north", text)
    said = PlaybookResult("failed", "probe", failure, 0, failures=[failure]).why("north")
    assert said.startswith(text.removeprefix("Task failed: ")) and helps in said
