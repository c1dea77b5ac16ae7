"""A testbed of two lab hosts, each with its own Engine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.contract.claim import own_control, take_claim
from fedsim_runner.contract.errors import FedsimError
from fedsim_runner.contract.paths import StateFolder
from fedsim_runner.contract.process_identity import start_time
from fedsim_runner.lab.access import LabAccess
from fedsim_runner.lab.host import LabHost
from fedsim_runner.plan.placement import make_plan
from fedsim_runner.runs.lookup import all_runs
from fedsim_runner.testbed.docker import testbed as docker_testbed
from fedsim_runner.testbed.docker.docker_engine import AgentSilentError, NoEngineError
from fedsim_runner.testbed.docker.run_inventory import bare_inventory
from fedsim_runner.testbed.docker.testbed import DockerTestbed
from fedsim_runner.testbed.values import Order, UnreachableError
from tests.builders import experiment, lab_host
from tests.fake_engine import FakeEngine

LOCAL = LabHost("one")
REMOTE = LabHost("two", connection="ssh", address="192.0.2.7", engine_url="ssh://192.0.2.7")


class Lab:
    """``engines`` by lab host; None stands for an Engine that does not answer."""

    def __init__(self, state_root: Path) -> None:
        self.engines: dict[str, FakeEngine | None] = {"one": FakeEngine(), "two": FakeEngine()}
        self.testbed = DockerTestbed([LOCAL, REMOTE], connect=self.connect, probe=self.probe, state_root=state_root)

    @contextmanager
    def connect(self, host: LabHost, timeout_s: int = 30) -> Iterator[FakeEngine]:
        engine = self.engines[host.name]
        if engine is None:
            raise NoEngineError(f"no Docker Engine answers on {host.name}")
        yield engine

    def probe(self, hosts: Sequence[LabHost], access: LabAccess) -> list[LabHost]:
        return [lab_host(host.name) for host in hosts]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "registry"))
    monkeypatch.chdir(tmp_path)
    made = Lab(tmp_path / "state")
    for name, device, state in (("one", "server", "running"), ("two", "phone", "exited")):
        engine = made.engines[name]
        assert engine is not None
        engine.things = {"study": [f"fedsim-study.{device}"]}
        engine.devices = {"study": {device: state}}
    return made


def engine_of(lab: Lab, name: str) -> FakeEngine:
    engine = lab.engines[name]
    assert engine is not None
    return engine


def test_everything_on_all_lab_hosts_is_listed(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "state" / "older").mkdir(parents=True)
    engine_of(lab, "two").things["other"] = ["fedsim-other-agent"]
    engine_of(lab, "two").state_folders = ("cut-short", "no run's name")
    assert lab.testbed.list() == {
        "study": ["fedsim-study.server on one", "fedsim-study.phone on two"],
        "other": ["fedsim-other-agent on two"],
        "cut-short": ["/var/lib/fedsim/cut-short on two"],
        "older": [str(tmp_path / "state" / "older")],
    }
    assert list(all_runs(testbeds=[lab.testbed]).labs) == ["cut-short", "older", "other", "study"]


def test_a_lab_host_that_does_not_answer_does_not_count_as_empty(lab: Lab) -> None:
    lab.engines["two"] = None
    with pytest.raises(UnreachableError, match="on two") as silent:
        lab.testbed.list()
    assert silent.value.found == {"study": ["fedsim-study.server on one"]}


def test_status_merges_the_answers_of_all_agents(lab: Lab) -> None:
    engine_of(lab, "one").answers = {
        "study": {
            "state": "running",
            "round": 3,
            "total_rounds": 9,
            "results": {"test_acc": 0.5},
            "devices": {"server": {"state": "training"}},
        }
    }
    engine_of(lab, "two").answers = {"study": {"state": "running", "round": 2, "devices": {"phone": {"state": "lost"}}}}
    status = lab.testbed.status("study")
    assert status is not None
    assert {key: status[key] for key in ("state", "round", "total_rounds", "results")} == {
        "state": "running",
        "round": 3,
        "total_rounds": 9,
        "results": {"test_acc": 0.5},
    }
    assert {name: (entry["state"], entry["lab_host"]) for name, entry in status["devices"].items()} == {
        "server": ("training", "one"),
        "phone": ("lost", "two"),
    }
    engine_of(lab, "two").answers["study"].update(state="failed", reason="phone: out of memory", device="phone")
    failed = lab.testbed.status("study")
    assert failed is not None
    assert (failed["state"], failed["reason"], failed["device"]) == ("failed", "phone: out of memory", "phone")
    assert failed["round"] == 2


def test_status_without_any_agent(lab: Lab) -> None:
    status = lab.testbed.status("study")
    assert status is not None
    assert status["state"] == "up, without its agent"
    assert sorted(status["devices"]) == ["phone", "server"]
    assert lab.testbed.status("unknown") is None


def test_status_of_agents_that_do_not_answer(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask_agent(run: str, call: object) -> None:
        raise AgentSilentError(f"the agent of run {run} does not answer")

    for name in ("one", "two"):
        monkeypatch.setattr(engine_of(lab, name), "ask_agent", ask_agent)
    status = lab.testbed.status("study")
    assert status is not None
    assert status["state"] == "up, its agent does not answer"
    assert sorted(status["devices"]) == ["phone", "server"]


def test_status_names_all_lab_hosts_if_none_answers(lab: Lab) -> None:
    lab.engines = {"one": None, "two": None}
    with pytest.raises(UnreachableError, match="answers on one; no Docker Engine answers on two"):
        lab.testbed.status("study")


def test_every_agent_opens_its_gate(lab: Lab) -> None:
    with pytest.raises(FedsimError, match="no agent"):
        lab.testbed.open("study")
    engine_of(lab, "two").answers = {"study": {"changed": True}}
    lab.testbed.open("study")
    assert engine_of(lab, "one").asked == engine_of(lab, "two").asked == [("study", "gate-open")] * 2


def test_a_command_runs_where_the_device_is(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[object, str, Sequence[str]]] = []

    def run_inside(api: object, container: str, command: Sequence[str], streams: object) -> int:
        ran.append((api, container, command))
        return 7

    monkeypatch.setattr(docker_testbed, "run_inside", run_inside)
    engine_of(lab, "two").devices["study"]["phone"] = "running"
    assert lab.testbed.exec("study", "phone", ["id"]) == 7
    assert ran == [(engine_of(lab, "two").client.api, "phone", ["id"])]
    with pytest.raises(FedsimError, match="run study has no device pi: it has phone, server"):
        lab.testbed.exec("study", "pi", ["id"])
    engine_of(lab, "one").devices["study"]["server"] = "exited"
    with pytest.raises(FedsimError, match="device server is not running"):
        lab.testbed.exec("study", "server", ["id"])


def test_logs_of_devices_on_both(lab: Lab) -> None:
    stamp = b"2026-01-01T00:00:0%d.000000000Z "
    engine_of(lab, "one").client.api.chunks = {"server": [stamp % 1 + b"one\n" + stamp % 3 + b"three\n"]}
    engine_of(lab, "two").client.api.chunks = {"phone": [stamp % 2 + b"two\n"]}
    found = lab.testbed.logs("study", [], False, 0)
    assert found is not None
    assert (list(found[0]), [line.text for line in found[1]]) == (["server", "phone"], ["one", "two", "three"])
    assert found[2] == {}


def test_logs_of_those_that_answer_are_shown(lab: Lab) -> None:
    lab.engines["one"] = None
    found = lab.testbed.logs("study", [], False, 0)
    assert found is not None
    assert (list(found[0]), list(found[2])) == (["phone"], ["one"])
    with pytest.raises(UnreachableError, match="on one"):
        lab.testbed.logs("study", ["server"], False, 0)
    found = lab.testbed.logs("study", ["phone"], False, 0)
    assert found is not None and found[2] == {}


def test_links_of_those_that_answer_are_measured(lab: Lab) -> None:
    lab.engines["one"] = None
    with pytest.raises(UnreachableError, match="on one"):
        lab.testbed.measure("study")
    engine_of(lab, "two").answers = {"study": {"links": []}}
    measured, silent = lab.testbed.measure("study")
    assert (list(measured), list(silent)) == ([], ["one"])


def order(lab: Lab) -> Order:
    plan = make_plan(experiment(clients=3), lab.probe([LOCAL, REMOTE], LabAccess()), "study")
    return Order(plan, Path())


def test_the_manifest_has_every_engine(lab: Lab) -> None:
    manifest: dict[str, object] = {"images": {}}
    lab.testbed.record(manifest, order(lab), ended=False)
    assert manifest["engines"] == dict.fromkeys(("one", "two"), manifest["engine"])


def test_the_manifest_has_the_engines_that_answer(lab: Lab) -> None:
    lab.engines["one"] = None
    manifest: dict[str, Any] = {"images": {}}
    lab.testbed.record(manifest, order(lab), ended=False)
    assert list(manifest["engines"]) == ["two"]


def test_the_manifest_has_no_engine_of_a_lab_host_without_devices(lab: Lab) -> None:
    plan = make_plan(experiment(), [lab_host("two")], "study")
    manifest: dict[str, Any] = {"images": {}}
    lab.testbed.record(manifest, Order(plan, Path()), ended=False)
    assert list(manifest["engines"]) == ["two"]


def test_a_plan_may_use_both(lab: Lab) -> None:
    assert [host.name for host in lab.testbed.lab_hosts(experiment(), None)] == ["one", "two"]


def test_without_a_run_folder_plays_reach_both() -> None:
    hosts = bare_inventory("study", [LOCAL, REMOTE]).hosts["all"]["children"]["lab_hosts"]["hosts"]
    assert hosts["one"]["ansible_connection"] == "local"
    assert hosts["two"] == {}, "how it is reached is in the inventory of the lab"


def test_the_claim_of_a_living_process_is_seen_before_anything_is_planned(lab: Lab, tmp_path: Path) -> None:
    mine, state = own_control("fedsim-provision"), StateFolder(tmp_path / "state" / "study")
    assert lab.testbed.worked_on_by("study") is None
    take_claim(state, mine, make=True)
    assert lab.testbed.worked_on_by("study") is None
    state.claim.unlink()
    hers = replace(mine, process=f"{os.getppid()}:{start_time(os.getppid())}", user="ann")
    take_claim(state, hers, make=True)
    assert lab.testbed.worked_on_by("study") == str(hers)
    state.claim.unlink()
    take_claim(state, replace(hers, process="1:1"), make=True)
    assert lab.testbed.worked_on_by("study") is None
