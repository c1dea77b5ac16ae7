"""Events as ansible-runner delivers them, recorded from real runs and shortened."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import pytest

from fedsim_runner.contract.errors import Exit
from fedsim_runner.testbed.docker.ansible_events import EventReader, failure_text
from fedsim_runner.testbed.docker.stages import STAGES
from fedsim_runner.testbed.stages import exit_of, stage_named


class RecordingListener:
    def __init__(self) -> None:
        self.received: list[Any] = []

    def stage(self, name: str) -> None:
        self.received.append(name)

    def detail(self, text: str) -> None:
        self.received.append(text)

    def event(self, event: Mapping[str, Any]) -> None:
        self.received.append(event["event"])

    def snapshot(self, snapshot: Mapping[str, Any]) -> None:
        self.received.append(dict(snapshot))


def reader() -> tuple[EventReader, RecordingListener, io.StringIO]:
    listener, log = RecordingListener(), io.StringIO()
    return EventReader(listener, log, keep=["problems"]), listener, log


PLAY = {
    "event": "playbook_on_play_start",
    "stdout": "\r\nPLAY [links] *****",
    "event_data": {"name": "links", "play": "links", "pattern": "lab_hosts"},
}
RETRY = {
    "event": "runner_retry",
    "stdout": "\x1b[0;36mFAILED - RETRYING: [local]: Follow the course (100 retries left).\x1b[0m",
    "event_data": {
        "task": "Follow the course",
        "host": "local",
        "res": {
            "attempts": 1,
            "finished": False,
            "fedsim_news": [{"t": 1.0, "event": "gate_opened"}, "noise"],
            "fedsim_snapshot": {"round": 1},
        },
    },
}
FAILED = {
    "event": "runner_on_failed",
    "stdout": "fatal: [local]: FAILED! => ...",
    "event_data": {
        "task": "Shape",
        "host": "local",
        "ignore_errors": None,
        "res": {"msg": "1 of 2 devices failed: pi-1: no tbf", "fedsim_exit_code": 3, "devices": {}},
    },
}
STATS = {
    "event": "playbook_on_stats",
    "stdout": "PLAY RECAP",
    "event_data": {"processed": {"local": 1, "localhost": 1}, "changed": {"local": 2, "localhost": 1}},
}


def test_stages_and_events_in_order() -> None:
    events, listener, log = reader()
    for event in (PLAY, RETRY, STATS):
        assert events.feed(event) is False
    assert listener.received == ["links", "gate_opened", {"round": 1}]
    assert (events.processed, events.changed) == ({"local", "localhost"}, 3)
    assert log.getvalue().splitlines()[-2] == "FAILED - RETRYING: [local]: Follow the course (100 retries left)."


def test_what_a_shipment_of_images_says_is_passed_on() -> None:
    events, listener, log = reader()
    events.feed({"event": "verbose", "stdout": "[WARNING]: something else"})
    events.feed({"event": "verbose", "stdout": "images: lab2 has 1.0 MB of 2.0 MB\r\n"})
    assert listener.received == ["images: lab2 has 1.0 MB of 2.0 MB"]
    assert log.getvalue().splitlines()[-1] == listener.received[0]


def begin(name: str) -> dict[str, Any]:
    return {"event": "playbook_on_play_start", "event_data": {"name": name}}


@pytest.mark.parametrize("kind", ["runner_on_failed", "runner_on_unreachable"])
def test_plays_for_which_no_host_is_left_are_no_stages(kind: str) -> None:
    events, listener, _ = reader()
    events.feed(begin("Participants"))
    events.feed({"event": kind, "event_data": {"host": "lab2", "task": "Make", "res": {"msg": "gone"}}})
    events.feed(begin("Network"))
    events.feed(begin("Verdict"))
    assert events.stage == "participants"
    assert listener.received == ["participants"]


def test_a_lab_host_that_the_end_of_a_run_does_without_is_named() -> None:
    events, listener, _ = reader()
    events.feed(begin("Collect"))
    events.feed({"event": "runner_on_unreachable", "event_data": {"host": "lab2", "task": "Pack", "res": {}}})
    events.feed(begin("Report"))
    assert listener.received == ["collect", "lab_host_unreachable", "report"]


def fail(host: str, task: str, text: str, code: int | None = None) -> dict[str, Any]:
    result = {"msg": text} if code is None else {"msg": text, "fedsim_exit_code": code}
    return {"event": "runner_on_failed", "event_data": {"host": host, "task": task, "res": result}}


def test_all_lab_hosts_of_which_a_task_says_the_same_are_named() -> None:
    events, _, _ = reader()
    events.feed(begin("Images"))
    for name in ("lab1", "lab3"):
        events.feed(fail(name, "Build", "no space"))
    events.feed(fail("lab2", "Build", "lab1 sent nothing"))
    for name in ("lab1", "lab2", "lab3"):
        events.feed(fail(name, "Fail on all lab hosts", "This stage failed"))
    failure = events.failure(2)
    assert (failure.host, failure.text) == ("lab1, lab3", "no space")


def test_all_lab_hosts_that_are_unfit_are_named_each_with_its_reason() -> None:
    events, _, _ = reader()
    events.feed(begin("Lab host"))
    events.feed(fail("lab1", "Probe", "no WireGuard", Exit.LAB))
    events.feed(fail("lab2", "Probe", "no WireGuard; no veth", Exit.LAB))
    events.feed(fail("lab3", "Probe", "no WireGuard", Exit.LAB))
    failure = events.failure(2)
    assert (failure.host, failure.exit_code) == ("lab1, lab3", Exit.LAB)
    assert failure.text == "no WireGuard; on lab2: no WireGuard; no veth"


def test_a_failure_has_stage_task_host_and_the_exit_code_the_module_asks_for() -> None:
    events, _, _ = reader()
    events.feed(PLAY)
    events.feed(FAILED)
    failure = events.failure(2)
    assert (failure.stage, failure.task, failure.host) == ("links", "Shape", "local")
    assert failure.text == "1 of 2 devices failed: pi-1: no tbf"
    assert exit_of(stage_named(STAGES, failure.stage), failure.exit_code) is Exit.LAB


def test_an_unreachable_lab_host_is_a_failure() -> None:
    events, _, _ = reader()
    events.feed({"event": "runner_on_unreachable", "event_data": {"host": "far", "res": {"msg": "no route"}}})
    assert events.failure(4).text == "no route"


def test_requested_results_are_kept() -> None:
    events, _, _ = reader()
    events.feed({"event": "runner_on_ok", "event_data": {"res": {"problems": [], "lab_host": {}}}})
    events.feed({"event": "runner_on_ok", "event_data": {"res": {"msg": "x"}}})
    assert events.results == [{"problems": [], "lab_host": {}}]


def test_without_a_failed_task_ansibles_own_error_is_reported() -> None:
    events, _, _ = reader()
    events.feed({"event": "verbose", "stdout": "[ERROR]: the playbook could not be found"})
    assert events.failure(1).text == "the playbook could not be found"


def test_a_missing_ansible_playbook_program_is_named() -> None:
    events, _, _ = reader()
    assert "ansible-core" in events.failure(127).text


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ({"msg": "plain"}, "plain"),
        (
            {"msg": "non-zero return code", "cmd": ["sh"], "rc": 3, "stdout": "out", "stderr": "first\nlast"},
            "non-zero return code: last",
        ),
        (  # the same with ansible-core 2.21
            {
                "msg": "The command exited with a non-zero return code.",
                "cmd": ["sh"],
                "rc": 3,
                "stdout": "out",
                "stderr": "first\nlast",
            },
            "The command exited with a non-zero return code: last",
        ),
        ({"msg": "non-zero return code", "cmd": "false", "rc": 1, "stdout": "", "stderr": ""}, "non-zero return code"),
        ({"msg": "Error executing command.", "cmd": "/no", "rc": 2, "stderr": ""}, "Error executing command."),
        ({"msg": "no such package", "rc": 100, "stderr": "E: Unable to locate"}, "no such package"),
        (
            {"msg": "MODULE FAILURE: see stderr", "module_stderr": "Traceback ...\nKeyError: 'x'"},
            "MODULE FAILURE: see stderr: KeyError: 'x'",
        ),
        (  # ansible-core 2.19
            {
                "msg": "Module result deserialization failed: No start of json char found",
                "rc": 1,
                "module_stdout": "",
                "module_stderr": "Traceback ...\nMemoryError: all of it",
            },
            "Module result deserialization failed: No start of json char found: MemoryError: all of it",
        ),
        ({"msg": "Task failed: Module failed: 'x'", "changed": False}, "Task failed: Module failed: 'x'"),
        ({"msg": "One or more items failed", "results": [{"msg": "a"}, {"failed": True, "msg": "b"}]}, "b"),
        ({"include": "more.yml", "reason": "Could not find or access more.yml"}, "Could not find or access more.yml"),
        ({}, "the task failed without a message"),
        (None, "the task failed without a message"),
        ("text", "text"),
    ],
)
def test_failure_text(result: object, text: str) -> None:
    assert failure_text(result) == text


@pytest.mark.parametrize(
    "said",
    [
        "Error while evaluating conditional: object of type 'dict' has no attribute 'finished'",
        "The conditional check 'poll.finished' failed. The error was: error while evaluating conditional",
        "Conditional result (True) was derived from value of type 'str'. Conditionals must have a boolean result.",
        *(
            f"Finalization of task args for 'ansible.builtin.debug' failed: Error while resolving value: {inner}"
            for inner in (
                "'images_plan' is undefined",
                "The filter plugin 'ansible.builtin.from_json' failed: Expecting property name",
                "Syntax error in template: unexpected 'end of print statement'",
            )
        ),
    ],
)
def test_no_text_of_the_template_engine_reaches_a_user(said: str) -> None:
    events, _, _ = reader()
    data = {**FAILED["event_data"], "res": {"msg": f"Task failed: {said}"}}
    events.feed({"event": "runner_on_failed", "event_data": data})
    assert events.failure(2).text == (
        "task 'Shape' cannot use a variable that is missing or has another form than it needs: check the inventory, "
        "its device files, and variables given with -e"
    )
    events, _, _ = reader()
    events.feed({"event": "verbose", "stdout": f"[ERROR]: {said}"})
    assert events.failure(1).text.startswith("the play cannot use a variable that is missing")


@pytest.mark.parametrize(
    ("stage", "code"),
    [
        ("preflight", 3),
        ("lab host", 3),
        ("images", 4),
        ("devices", 4),
        ("course", 5),
        ("verdict", 5),
        ("teardown", 4),
        (None, 4),
    ],
)
def test_exit_codes_by_stage(stage: str | None, code: int) -> None:
    assert exit_of(stage_named(STAGES, stage)) == code
    assert exit_of(stage_named(STAGES, stage), 99) == code
