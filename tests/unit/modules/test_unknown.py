"""What an Engine does not answer is unknown to a module: only a 404 means gone, only a container's state ended."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from ansible_collections.fedsim.testbed.plugins.module_utils import _agent_control, _agent_watch, _docker
from ansible_collections.fedsim.testbed.plugins.module_utils._contract import exec_output
from ansible_collections.fedsim.testbed.plugins.module_utils._module import Call, FailedError
from ansible_collections.fedsim.testbed.plugins.modules import (
    fedsim_agent,
    fedsim_course,
    fedsim_devices,
    fedsim_engine,
    fedsim_image_base,
)
from docker.errors import APIError, NotFound

from fedsim_runner.contract.agent_calls import OpenGate, Probe
from fedsim_runner.contract.exec_output import FRAME
from fedsim_runner.contract.paths import StateFolder
from fedsim_runner.testbed.docker import docker_engine

pytestmark = pytest.mark.lengthy


def failure(status: int) -> APIError:
    response = requests.Response()
    response.status_code = status
    return (NotFound if status == 404 else APIError)("no", response=response)


class Engine:
    """Answers ``inspect_container`` with the next of ``states``; the last one stays. An exception is raised."""

    def __init__(self, *states: Any) -> None:
        self.states = list(states)

    def inspect_container(self, _name: str) -> dict[str, Any]:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if isinstance(state, Exception):
            raise state
        return {"State": {"Paused": False, "OOMKilled": False, "ExitCode": 0, **state}}

    def logs(self, *_: Any, **__: Any) -> bytes:
        return b"its last line\n"

    def close(self) -> None:
        pass


TIMEOUT = requests.exceptions.ReadTimeout("Read timed out.")


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"Running": True}, None),
        ({"Running": True, "Paused": True}, "is paused"),
        ({"Running": False}, "ended right after its start: its last line"),
        (failure(404), "ended right after its start: its container is gone"),
        (TIMEOUT, "was started, but the Engine does not say whether it runs: Read timed out."),
        (failure(500), "was started, but the Engine does not say whether it runs: no"),
    ],
)
def test_what_became_of_a_started_device(state: Any, said: str | None) -> None:
    found = fedsim_devices.explain_missing_device(Engine(state), "fedsim-r.pi-1")
    assert found == said or (said is not None and found is not None and found.startswith(said.removesuffix(" no")))


@pytest.fixture
def poll(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Poll a course whose agent has written one event and a snapshot, with an Engine that answers like this."""
    state = StateFolder(tmp_path)
    state.journal.parent.mkdir(parents=True)
    state.journal.write_text('{"event": "round_started", "t": 1.0, "round": 1}\n')
    state.snapshot.write_text(json.dumps({"t": time.time(), "devices": {}}))

    def run(connect: Callable[[str], Any], silent_s: float = 0.0) -> dict[str, Any]:
        monkeypatch.setattr(_agent_watch, "connect", connect)
        os.utime(state.snapshot, (time.time() - silent_s,) * 2)
        params = {"action": "poll", "consumer": "play", "wait_s": 0, "gather_s": 0, "state_dir": str(tmp_path)}
        params |= {"run": "r", "docker_host": "unix:///nowhere"}
        answer: dict[str, Any] = fedsim_course.MODULE.answer(
            params, check=False, diff=False, warn=lambda _text: None, make_folder=lambda: str(tmp_path)
        )
        return answer

    return run


def no_engine(_host: str) -> Any:
    raise _docker.EngineError("no Docker Engine answers")


@pytest.mark.parametrize("connect", [no_engine, lambda _host: Engine(TIMEOUT), lambda _host: Engine(failure(500))])
def test_a_course_goes_on_while_only_the_engine_is_silent(
    poll: Callable[..., dict[str, Any]], connect: Callable[[str], Any]
) -> None:
    answer = poll(connect, silent_s=10)
    assert [event["event"] for event in answer["fedsim_news"]] == ["round_started"]
    assert (answer["finished"], answer["outcome"]) == (False, None)


def test_a_course_ends_if_the_agent_is_silent_as_well(poll: Callable[..., dict[str, Any]]) -> None:
    answer = poll(no_engine, silent_s=_agent_watch.AGENT_SILENT_S + 1)
    assert answer["finished"]
    assert "has written nothing for 120 s, and the Docker Engine does not answer" in answer["outcome"]["reason"]


def test_a_course_ends_if_the_engine_has_no_agent(poll: Callable[..., dict[str, Any]]) -> None:
    assert "is gone" in poll(lambda _host: Engine(failure(404)), silent_s=3)["outcome"]["reason"]
    assert "ended during the course" in poll(lambda _host: Engine({"Running": False}), silent_s=3)["outcome"]["reason"]


def test_the_engine_is_not_asked_for_an_agent_that_has_just_written(poll: Callable[..., dict[str, Any]]) -> None:
    asked: list[str] = []
    assert poll(lambda host: asked.append(host))["outcome"] is None
    assert asked == []


class Exec(Engine):
    """Runs commands: ``failures`` calls get no answer, and the status is known after ``late`` more questions."""

    def __init__(self, late: int = 0, failures: int = 0) -> None:
        super().__init__(TIMEOUT)
        self.late = late
        self.failures = failures

    def exec_create(self, *_: Any, **__: Any) -> dict[str, str]:
        if self.failures:
            self.failures -= 1
            raise TIMEOUT
        return {"Id": "exec"}

    def exec_start(self, *_: Any, **__: Any) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            theirs.sendall(FRAME.pack(1, 18) + b'{"changed": true}\n')
        return ours

    def exec_inspect(self, _identity: str) -> dict[str, int | None]:
        self.late -= 1
        return {"ExitCode": 0 if self.late < 0 else None}


def test_a_command_has_not_failed_because_its_status_comes_late() -> None:
    assert _docker.run_in(Exec(late=2), "agent", ["python3"], 5.0) == (0, '{"changed": true}\n', "")


def test_a_status_that_never_comes_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_docker, "EXIT_STATUS_WITHIN_S", 0.0)
    with pytest.raises(_docker.EngineError, match="does not tell how `python3` ended in agent"):
        _docker.run_in(Exec(late=1000), "agent", ["python3"], 5.0)


def test_a_call_without_an_answer_is_repeated() -> None:
    assert _agent_control.call_agent(Exec(failures=1), "agent", OpenGate(None)) == {"changed": True}
    with pytest.raises(_docker.EngineError, match="cannot be called: Read timed out"):
        _agent_control.call_agent(Exec(failures=2), "agent", OpenGate(None))


def test_an_agent_that_ended_at_its_start_is_named_at_once() -> None:
    """No command is sent into its container: Engine 20.10 would never end the connection."""
    with pytest.raises(_agent_control.AgentEndedError, match="the agent container agent has ended: its last line"):
        _agent_control.wait_for_agent(Engine({"Running": False}), "agent", Probe(), 60.0)


def test_an_agent_that_ends_during_a_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exec_output, "LOOK_AFTER_S", 0.01)

    class Ending(Exec):
        def exec_start(self, *_: Any, **__: Any) -> socket.socket:
            self.states = [{"Running": False}]
            self.ours, self.theirs = socket.socketpair()
            return self.ours

    with pytest.raises(_agent_control.AgentEndedError, match="the agent ended while starting: its last line"):
        _agent_control.wait_for_agent(Ending(), "agent", Probe(), 60.0)


def test_an_agent_that_does_not_find_what_is_here_has_an_engine_that_does_not_see_it(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    said = f"the agent container agent has ended: agent: {state.device_file}: No such file or directory"
    assert fedsim_agent.explain_end(said, state) == ""
    state.device_file.touch()
    found = fedsim_agent.explain_end(said, state)
    assert f"the Docker Engine does not see this machine's folder {tmp_path}: it runs on a machine of its own" in found
    assert fedsim_agent.explain_end("it ended: no space left", state) == ""


def test_an_agent_that_the_engine_does_not_describe_may_still_be_starting() -> None:
    assert _agent_control.wait_for_agent(Exec(failures=2), "agent", OpenGate(None), 5.0) == {"changed": True}


class Removal(Engine):
    def remove_container(self, *_: Any, **__: Any) -> None:
        raise TIMEOUT


def test_a_removal_without_an_answer_is_looked_at_until_the_container_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    _docker.remove_container(Removal({"Running": False}, failure(404)), "id")
    monkeypatch.setattr(_docker, "GONE_WITHIN_S", 0.0)
    with pytest.raises(_docker.EngineError, match="its removal has not ended"):
        _docker.remove_container(Removal({"Running": False}), "id")


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[str]:
    """An Engine that takes connections and answers nothing."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "docker.sock"))
        listener.listen(50)
        yield f"unix://{tmp_path}/docker.sock"


def test_an_engine_that_is_only_silent_is_neither_installed_nor_started(
    silent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(_docker.EngineSilentError, match=r"has not answered in 0\.1 s") as caught:
        _docker.connect(silent, timeout=0.1)  # type: ignore[arg-type]
    assert not caught.value.fixable_by_role
    monkeypatch.setattr(_docker, "DEFAULT_ENGINE", f"unix://{tmp_path}/none.sock")
    with pytest.raises(_docker.EngineError, match="no Docker Engine answers") as missing:
        _docker.connect(f"unix://{tmp_path}/none.sock")
    assert missing.value.fixable_by_role and not isinstance(missing.value, _docker.EngineSilentError)

    connect = _docker.connect
    monkeypatch.setattr(fedsim_engine, "connect", lambda host, timeout: connect(host, timeout / 50))
    monkeypatch.setattr(fedsim_engine, "start", lambda *_: pytest.fail("started a second one"))
    params = {"docker_host": silent, "wait_s": 0, "log": str(tmp_path / "log")}
    answer = fedsim_engine.MODULE.answer(
        params, check=False, diff=False, warn=lambda _text: None, make_folder=lambda: str(tmp_path)
    )
    assert answer["failed"]
    assert "the Docker Engine is there but does not answer" in answer["msg"]


def test_an_image_that_the_engine_does_not_describe_is_not_missing() -> None:
    class Images:
        def __init__(self, error: APIError) -> None:
            self.error = error

        def inspect_image(self, _name: str) -> None:
            raise self.error

    assert fedsim_image_base._find_matching(Images(failure(404)), "debian", "amd64") is None
    with pytest.raises(APIError):
        fedsim_image_base._find_matching(Images(failure(500)), "debian", "amd64")


@pytest.mark.parametrize("error", [failure(500), TIMEOUT])
def test_an_agent_that_does_not_answer_is_not_taken_for_none(error: Exception) -> None:
    class Api:
        base_url = "http+docker://localhost"

        def containers(self, **_: Any) -> list[dict[str, Any]]:
            return [{"Id": "agent", "State": "running", "Labels": {}}]

        def exec_create(self, *_: Any) -> None:
            raise error

    class Client:
        api = Api()

    with pytest.raises(docker_engine.AgentSilentError, match="the agent of run r does not answer"):
        docker_engine.LabEngine(Client()).ask_agent("r", OpenGate(None))


@pytest.mark.process
@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("sleep 30", "`systemctl start docker` has not ended in 0.5 s"),
        ("echo masked >&2; exit 1", "`systemctl start docker` failed: masked"),
    ],
)
def test_a_service_that_does_not_start_is_given_up(
    script: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "systemctl").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    call = Call({"wait_s": 0.5}, False, None, lambda _text: None, lambda: str(tmp_path))
    with pytest.raises(FailedError) as caught:
        fedsim_engine.start(call, "systemd")
    assert str(caught.value) == said


def test_what_a_lost_connection_means_is_said_in_words() -> None:
    lost = requests.ConnectionError("('Connection aborted.', RemoteDisconnected('...'))")
    assert _docker.explain(lost) == "the Docker Engine has closed the connection: it was stopped or restarted"
    assert _docker.explain(TIMEOUT) == "Read timed out."
