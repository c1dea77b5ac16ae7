"""Two agents of one run, each with an Engine of its own, over the loopback interface."""

from __future__ import annotations

import copy
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.agent import commands
from fedsim_runner.agent.run_agent import Agent
from fedsim_runner.contract.paths import StateFolder
from tests.unit.agent.fake_engine import FakeEngine, begin, journal, report_ready
from tests.unit.agent.links.fake_kernel import FakeKernel

pytestmark = pytest.mark.lengthy
LONGEST_S = 20.0
ADDRESSES = {"one": "127.0.0.1", "two": "127.0.0.2"}


class Host:
    """One lab host with its part of the run."""

    def __init__(self, name: str, folder: Path, device_file: dict[str, Any], names: list[str]) -> None:
        content = copy.deepcopy(device_file)
        devices = {device["name"]: device for device in content["devices"]}
        content["lab_host"] = name
        content["devices"] = [devices[device] for device in names]
        content["clients"] = [device for device in devices if devices[device]["role"] == "client"]
        other = next(host for host in ADDRESSES if host != name)
        content["peers"] = {
            device["address"]: {"device": device["name"], "link": device["link"], "lab_host": other}
            for device in devices.values()
            if device["name"] not in names
        }
        content["lab"] = {
            "hosts": [{"name": host, "address": address} for host, address in ADDRESSES.items()],
            "server": "one",
            "encrypt": False,
        }
        folder.mkdir()
        self.name, self.names, self.state = name, names, StateFolder(folder)
        self.state.device_file.write_text(json.dumps(content))
        for device in names:
            self.state.outputs(device).mkdir(parents=True)
        self.engine = FakeEngine(names)
        self.agent: Agent = begin(self.state, self.engine)

    def events(self, name: str) -> list[dict[str, Any]]:
        return [event for event in journal(self.state) if event["event"] == name]


@pytest.fixture
def hosts(kernel: FakeKernel, tmp_path: Path, device_file: dict[str, Any]) -> Iterator[dict[str, Host]]:
    names = [device["name"] for device in device_file["devices"]]
    found = {
        "one": Host("one", tmp_path / "one", device_file, names[:2]),
        "two": Host("two", tmp_path / "two", device_file, names[2:]),
    }
    # The hub answers lab hosts only, and on the loopback interface all questions come from one address.
    found["one"].agent._current.lab._hub._addresses["loopback"] = "127.0.0.1"  # type: ignore[attr-defined]
    shutil.copy(found["one"].state.channel, found["two"].state.channel)
    for host in found.values():
        host.agent._gatekeeper._links.covers = lambda _names: True  # type: ignore[method-assign]
    yield found
    for host in found.values():
        host.agent.close()


def pass_time(hosts: dict[str, Host], until: Callable[[], object]) -> None:
    deadline = time.monotonic() + LONGEST_S
    while not until():
        assert time.monotonic() < deadline
        for host in hosts.values():
            host.agent.tick()
        time.sleep(0.02)


def open_gates(hosts: dict[str, Host]) -> None:
    for host in hosts.values():
        assert host.agent.open_gate(None) == {"changed": True}
        report_ready(host.state, *host.names)
    pass_time(hosts, lambda: all(host.state.gate_open.exists() for host in hosts.values()))


def test_both_open_the_gate_at_one_time_and_one_verdict_ends_both(hosts: dict[str, Host]) -> None:
    open_gates(hosts)
    times = [host.events("gate_opened")[0]["open_at"] for host in hosts.values()]
    assert abs(times[0] - times[1]) < 0.001
    pass_time(hosts, lambda: hosts["one"].events("gate_measured"))
    assert len(hosts["two"].events("clock_measured")) >= 1
    two = hosts["two"]
    two.agent.docker_event(two.engine.end(two.names[0], 3))
    pass_time(hosts, lambda: two.events("outcome_received"))
    (failed,) = hosts["one"].events("course_failed")
    assert failed["device"] == two.names[0]
    assert two.events("course_failed") == []
    assert two.events("outcome_received")[0]["reason"] == failed["reason"]
    assert commands.answer(two.agent, "status", {})["reason"] == failed["reason"]


def test_the_gate_waits_for_the_other_lab_host_and_names_it(hosts: dict[str, Host]) -> None:
    one = hosts["one"]
    assert one.agent.open_gate(None) == {"changed": True}
    report_ready(one.state, *one.names)
    pass_time(hosts, lambda: one.events("awaiting_lab_hosts"))
    assert one.events("awaiting_lab_hosts")[0]["hosts"] == ["two"]
    assert not one.state.gate_open.exists()


def test_an_agent_that_ends_fails_the_course_with_the_name_of_its_lab_host(hosts: dict[str, Host]) -> None:
    open_gates(hosts)
    hosts.pop("two").agent.close()
    pass_time(hosts, lambda: hosts["one"].events("course_failed"))
    (failed,) = hosts["one"].events("course_failed")
    assert failed["reason"] == "lab host two is lost: its agent has ended"
    assert failed["device"] is None


def test_a_judge_that_is_started_anew_ends_the_course_as_the_others_have_ended_their_parts(
    hosts: dict[str, Host],
) -> None:
    open_gates(hosts)
    one = hosts["one"]
    one.agent.close()
    one.agent = begin(one.state, one.engine)
    (failed,) = one.events("course_failed")
    assert failed["reason"] == "the agent of lab host one, which carries the server, was restarted"
    assert failed["device"] is None
