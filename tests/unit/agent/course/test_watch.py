"""Participants' files in, events and a snapshot out: the agent's part between the Engine and the supervisor."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fedsim_runner.agent.course.limits import GRACE_S, Limits
from fedsim_runner.agent.course.supervision import Supervisor
from fedsim_runner.agent.course.watch import Watch, supervise_alone
from fedsim_runner.agent.host.device_usage import Reading
from fedsim_runner.agent.host.fleet import Container
from fedsim_runner.agent.run_settings import RunSettings, read_run_settings
from fedsim_runner.contract.device_file import FederatedScopeSettings
from fedsim_runner.contract.link import Link, Links
from fedsim_runner.contract.participant_events import EVENTS, Admitted, ClientLost, to_line
from fedsim_runner.contract.paths import StateFolder
from tests.device_files import device, device_file
from tests.reported import report_line

PREFIX = "2026-01-02 10:00:00,123 (server:442) INFO: "
MOMENT = 1_700_000_000.123


def make(state: Path, clients: int = 1) -> tuple[Watch, list[dict[str, Any]]]:
    names = ["hub", *(f"pi-{number}" for number in range(1, clients + 1))]
    devices = [
        device(name, "server" if name == "hub" else "client", index, engine="federatedscope")
        for index, name in enumerate(names)
    ]
    course = {"timeout_s": 100, "silence_timeout_s": 50, "total_rounds": 3, "on_client_failure": "continue"}
    (state / "device_file.json").write_text(device_file(*devices, course=course).as_text())
    for name in names:
        (state / "devices" / name / "out" / "course").mkdir(parents=True)
    emitted: list[dict[str, Any]] = []
    file = read_run_settings(state / "device_file.json")
    return Watch(StateFolder(state), file, lambda event: emitted.append(event.as_dict())), emitted


def write(state: Path, device: str, *lines: str | dict[str, Any]) -> None:
    out = state / "devices" / device / "out"
    for line in lines:
        if isinstance(line, str):
            report_line(out, PREFIX + line, MOMENT)
            continue
        with (out / "course" / "activity.jsonl").open("a") as stream:
            stream.write(json.dumps(line) + "\n")


def test_lines_become_events_and_live_states(tmp_path: Path) -> None:
    watch, emitted = make(tmp_path)
    containers = {name: Container(name, "id", 1, False, None, False) for name in ("hub", "pi-1")}
    assert watch.devices(containers)["pi-1"]["state"] == "waiting"
    assert watch.devices({})["pi-1"]["state"] == "absent"
    watch.begin()
    watch.open(time.time())
    write(tmp_path, "hub", "Server: Listen to 0.0.0.0:50051...", {"t": 1.0, "what": "send", "kind": "x", "peer": 1})
    write(tmp_path, "pi-1", "Client: Listen to pi-1:50052...", "Client (address pi-1:50052) is assigned with #1.")
    watch.tick()
    assert [event["event"] for event in emitted] == ["device_ready", "device_ready", "device_joined"]
    assert {event["t"] for event in emitted} == {MOMENT}, "when it was written, not when it was read"
    watch.sample(10.0, {"pi-1": Reading(5000, 1.0, 0.0, 0, 100, 0)}, {})
    watch.sample(11.0, {"pi-1": Reading(6000, 1.2, 0.3, 1, 1100, 500)}, {})
    assert watch.devices(containers) == {
        "hub": {
            "state": "sending", "round": 0, "cpu": None, "cpus": 0.5, "memory_bytes": None,
            "memory_limit_bytes": 1 << 28, "up_bps": None, "down_bps": None, "oom_kills": 0, "throttled": None,
        },
        "pi-1": {
            "state": "receiving", "round": 0, "cpu": 0.2, "cpus": 0.5, "memory_bytes": 6000,
            "memory_limit_bytes": 1 << 28, "up_bps": 4000, "down_bps": 8000, "oom_kills": 1, "throttled": 0.3,
        },
    }  # fmt: skip
    watch.close()


def test_the_reason_of_an_end_comes_from_its_own_exit_file(tmp_path: Path) -> None:
    watch, emitted = make(tmp_path, clients=2)
    watch.begin()
    watch.open(time.time())
    out = tmp_path / "devices" / "pi-1" / "out"
    (out / "exit.json").write_text(json.dumps({"exit_code": 1, "error": "cannot write: No space left on device"}))
    watch.on_ended("pi-1", 1, False, ["Traceback"])
    assert emitted[-1]["event"] == "client_lost"
    assert emitted[-1]["reason"] == "ended with exit code 1: cannot write: No space left on device"
    secret = tmp_path / "secret.json"
    secret.write_text(json.dumps({"exit_code": 1, "error": "secret"}))
    (tmp_path / "devices" / "pi-2" / "out" / "exit.json").symlink_to(secret)
    watch.on_ended("pi-2", 1, False, [])
    assert emitted[-1]["event"] == "course_failed"
    assert emitted[-1]["reason"] == "ended with exit code 1: no output; 0 clients are left, and course.min_clients is 1"


def test_a_client_that_ends_because_the_server_gave_it_up_is_lost_for_the_servers_reason(tmp_path: Path) -> None:
    watch, emitted = make(tmp_path, clients=2)
    watch.begin()
    watch.open(time.time())
    with (tmp_path / "devices" / "hub" / "out" / EVENTS).open("a", encoding="utf-8") as stream:
        stream.write(to_line(Admitted(1, "pi-1"), MOMENT) + to_line(ClientLost(1, "its update is not valid"), MOMENT))
    watch.on_ended("pi-1", 1, False, [])
    (lost,) = [event for event in emitted if event["event"] == "client_lost"]
    assert (lost["device"], lost["reason"]) == ("pi-1", "given up by the server: its update is not valid")


def test_an_agent_that_resumes_a_course_knows_its_lost_clients_and_repeats_no_event(tmp_path: Path) -> None:
    watch, emitted = make(tmp_path, clients=2)
    write(tmp_path, "pi-1", "Client: Listen to pi-1:50052...")
    watch.resume(time.time() - 10, {"pi-2": "frozen for 50 s"})
    watch.tick()
    assert emitted == []
    states = {name: device["state"] for name, device in watch.devices({}).items()}
    assert states == {"hub": "waiting", "pi-1": "joining", "pi-2": "lost"}


@pytest.mark.process
def test_a_stopped_process_is_noticed_even_if_its_container_uses_the_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, _ = make(tmp_path)
    watch.begin()
    watch.open(time.time())
    assert watch.supervisor is not None
    stopped = subprocess.Popen(["sleep", "60"])
    stopped.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, stopped.pid, os.WSTOPPED | os.WNOWAIT)
    frozen: list[bool] = []
    monkeypatch.setattr(watch.supervisor, "feed_frozen", lambda _name, state, _now: frozen.append(state))
    containers = {"pi-1": Container("pi-1", "id", stopped.pid, False, None, False)}
    try:
        for second in range(6):
            watch.sample(float(second), {"pi-1": Reading(1, 1.0 + second)}, containers)
        watch.sample(6.0, {"pi-1": Reading(1, 6.0)}, containers)
    finally:
        stopped.kill()
        stopped.wait()
    # No rates yet, the fifth, and one without processor time.
    assert frozen == [True, False, False, False, True, False, True]
    watch.close()


def test_watching_fifty_devices_is_cheap(tmp_path: Path) -> None:
    watch, _ = make(tmp_path, clients=50)
    watch.begin()
    watch.open(time.time())
    names = [f"pi-{number}" for number in range(1, 51)]
    for name in names:
        write(tmp_path, name, f"Client: Listen to {name}:50052...", {"t": 1.0, "what": "train", "round": 0})
    watch.tick()
    readings = {name: Reading(1, 1.0, rx_bytes=0, tx_bytes=0) for name in names}
    gc.disable()  # it would look through all that other tests have left
    begun = time.thread_time()
    for second in range(20):
        watch.tick()
        watch.tick()
        watch.sample(float(second), readings, {})
        json.dumps(watch.devices({}))
    used_s = time.thread_time() - begun
    gc.enable()
    # Share of one core, without reading the cgroups' files; measured: 0.1 %.
    assert used_s / 20 < 0.02
    watch.close()


def test_a_nonsensical_exit_file_is_ignored(tmp_path: Path) -> None:
    watch, emitted = make(tmp_path, clients=3)
    watch.begin()
    watch.open(time.time())
    out = tmp_path / "devices" / "pi-1" / "out"
    (out / "exit.json").write_text("[" * 50_000)
    watch.on_ended("pi-1", 1, False, ["killed \x1b]0;title\x07by itself"])
    assert emitted[-1]["reason"] == "ended with exit code 1: killed by itself"
    pipe = tmp_path / "devices" / "pi-2" / "out" / "exit.json"
    os.mkfifo(pipe)
    writer = os.open(pipe, os.O_RDWR)
    watch.on_ended("pi-2", 1, False, ["x" * 100_000])
    os.close(writer)
    assert emitted[-1]["event"] == "client_lost"
    assert len(emitted[-1]["reason"]) < 2000
    watch.close()


def test_slow_links_are_no_silence(tmp_path: Path) -> None:
    slow = Links(Link(delay_us=5_000_000), Link(delay_us=5_000_000))
    devices = (device("hub", "server", 0), device("pi-1"), device("far", index=2, link=slow))
    course = {"timeout_s": 1000, "silence_timeout_s": 20}
    (tmp_path / "device_file.json").write_text(device_file(*devices, course=course).as_text())
    for one in devices:
        (tmp_path / "devices" / one.name / "out").mkdir(parents=True)
    settings = read_run_settings(tmp_path / "device_file.json")
    assert settings.answer_s == 10
    assert settings.answers_s == {"pi-1": 0, "far": 10}
    watch = Watch(StateFolder(tmp_path), settings, lambda event: None)
    watch.begin()
    supervisor = watch.supervisor
    assert supervisor is not None
    supervisor.open(0.0)
    supervisor.tick(59.0)  # three times until a first message is there, and one for the answer
    assert supervisor.outcome is None
    supervisor.tick(61.0)
    assert supervisor.outcome is not None and "silent for 61 s" in str(supervisor.outcome.reason)


def test_a_dilated_run_has_limits_of_wall_time_for_participants_and_for_lab_hosts(tmp_path: Path) -> None:
    file = device_file(course={"silence_timeout_s": 120.0})
    (tmp_path / "device_file.json").write_text(replace(file, time="dilated", time_factor=0.25).as_text())
    settings = read_run_settings(tmp_path / "device_file.json")
    assert settings.silence_timeout_s == 120.0
    assert settings.lab_silence_s == 30.0
    given: list[Limits] = []

    def supervise(settings: RunSettings, limits: Limits) -> Supervisor:
        given.append(limits)
        return supervise_alone(settings, limits)

    Watch(StateFolder(tmp_path), settings, lambda event: None, supervise).begin()
    assert [limits.grace_s for limits in given] == [4 * GRACE_S]


@pytest.mark.parametrize(("patches_off", "ends"), [((), False), (("busy_wait",), True)])
def test_a_server_that_packs_a_model_is_not_silent_unless_waiting_looks_like_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patches_off: tuple[str, ...], ends: bool
) -> None:
    devices = [device("hub", "server", 0, engine="federatedscope"), device("pi-1", engine="federatedscope")]
    file = device_file(*devices, course={"timeout_s": 1000.0, "silence_timeout_s": 50.0}, source="pip")
    file = replace(file, federatedscope=FederatedScopeSettings("pip", patches_off))
    (tmp_path / "device_file.json").write_text(file.as_text())
    for one in devices:
        (tmp_path / "devices" / one.name / "out" / "course").mkdir(parents=True)
    clock = [1000.0]
    monkeypatch.setattr("fedsim_runner.agent.course.watch.time", SimpleNamespace(monotonic=lambda: clock[0]))
    watch = Watch(StateFolder(tmp_path), read_run_settings(tmp_path / "device_file.json"), lambda event: None)
    watch.begin()
    assert watch.supervisor is not None
    watch.supervisor.open(clock[0])
    write(tmp_path, "hub", "Server: Listen to 0.0.0.0:50051...", {"t": 1.0, "what": "received", "kind": "x", "peer": 1})
    write(tmp_path, "pi-1", "Client: Listen to pi-1:50052...", "Client (address pi-1:50052) is assigned with #1.")
    containers = {one.name: Container(one.name, "id", os.getpid(), False, None, False) for one in devices}
    for second in range(120):
        clock[0] += 1
        watch.sample(clock[0], {"hub": Reading(1, 0.4 * second), "pi-1": Reading(1, 1.0)}, containers)
        watch.tick()
    assert watch.supervisor.live_state("hub") == ("failed" if ends else "waiting")
    assert (watch.supervisor.outcome is not None) is ends
    watch.close()
