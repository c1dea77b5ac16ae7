"""The contract that every testbed fulfils, whatever its devices are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.contract.errors import FedsimError
from fedsim_runner.runs.planning import make_plan_or_refuse, with_lacks
from fedsim_runner.runs.prepare import write_run_files
from fedsim_runner.spec.experiment import Experiment
from fedsim_runner.testbed.installed import all_testbeds, find_testbed
from fedsim_runner.testbed.processes.testbed import ProcessTestbed
from fedsim_runner.testbed.protocol import Testbed as Substrate
from fedsim_runner.testbed.values import Order, Stopped
from tests.builders import experiment
from tests.fake_testbed import FakeTestbed
from tests.unit.testbed.tiny_playbooks import TinyLab

pytestmark = pytest.mark.ansible

CONFIG = {
    "dataloader": {"batch_size": 16},
    "train": {"local_update_steps": 1, "batch_or_epoch": "epoch", "optimizer": {"lr": 0.1}},
    "eval": {"freq": 1, "metrics": ["acc"], "best_res_update_round_wise_key": "test_loss"},
    "federate": {"total_round_num": 2},
}


@dataclass
class RecordingListener:
    """A listener that records, and stops the work in a stage."""

    stop_at: str | None = None
    stages: list[str] = field(default_factory=list)
    events: list[Mapping[str, Any]] = field(default_factory=list)

    def stage(self, name: str) -> None:
        self.stages.append(name)

    def detail(self, text: str) -> None:
        pass

    def event(self, event: Mapping[str, Any]) -> None:
        self.events.append(event)

    def snapshot(self, snapshot: Mapping[str, Any]) -> None:
        pass

    def cancelled(self) -> bool:
        return self.stop_at is not None and self.stop_at in self.stages


@pytest.fixture(params=["docker", "processes", "fake"])
def testbed(request: pytest.FixtureRequest, tmp_path: Path) -> Substrate:
    if request.param == "docker":
        return TinyLab(tmp_path / "lab").testbed
    return ProcessTestbed() if request.param == "processes" else FakeTestbed()


@pytest.fixture
def small() -> Experiment:
    made = experiment(clients=2)
    return made.__class__(**{**vars(made), "config": {**made.config, **CONFIG}})


@pytest.fixture
def order(testbed: Substrate, small: Experiment, tmp_path: Path) -> Order:
    accepted = testbed.accept(small)
    plan, _ = with_lacks(make_plan_or_refuse(accepted, testbed.lab_hosts(accepted, None), "contract"), testbed)
    folder = tmp_path / "runs" / "contract"
    folder.mkdir(parents=True)
    write_run_files(plan, folder)
    return Order(plan, folder)


def test_lacks_are_known_before_anything_is_made(testbed: Substrate, order: Order) -> None:
    lacks = testbed.lacks(order.plan)
    assert all(lack.what and lack.hint for lack in lacks)
    if lacks:
        assert [lack.what for lack in lacks] == list(order.plan.notes)
    assert order.run not in testbed.list()


def test_half_a_testbed_can_be_removed_twice(testbed: Substrate, order: Order) -> None:
    listener = RecordingListener()
    testbed.provision(order, listener)
    for stage in {listener.stages[0], listener.stages[-1]}:
        assert list(testbed.destroy(order.run, order.folder, RecordingListener())) == []
        listener = RecordingListener(stop_at=stage)
        with pytest.raises(Stopped) as stopped:
            testbed.provision(order, listener)
        assert (stopped.value.stage, stopped.value.failure) == (stage, None)
        assert [list(testbed.destroy(order.run, order.folder, RecordingListener())) for _ in range(2)] == [[], []]
        assert order.run not in testbed.list()


def test_step_by_step_to_the_end_of_the_course(testbed: Substrate, order: Order) -> None:
    listener = RecordingListener()
    assert testbed.provision(order, listener) > 0
    assert testbed.list()[order.run]
    assert testbed.status(order.run) is not None
    for _ in range(2):
        testbed.open(order.run)
    testbed.collect(order.run, order.folder, order.folder, listener)
    if testbed.traits.name == "docker":
        assert list(testbed.list()[order.run]) == ["one-devices on one", "two-devices on two"]
        assert sorted(path.name for path in order.folder.glob("*-collected")) == ["one-collected", "two-collected"]
    testbed.follow(order, listener)
    assert order.run not in testbed.list()
    assert testbed.status(order.run) is None
    known = [stage.name for stage in testbed.traits.stages]
    assert set(listener.stages) <= set(known)
    assert list(testbed.destroy(order.run, None, listener)) == []


def test_following_does_the_missing_earlier_steps(testbed: Substrate, order: Order) -> None:
    listener = RecordingListener()
    testbed.follow(order, listener)
    known = [stage.name for stage in testbed.traits.stages]
    assert listener.stages == sorted(listener.stages, key=known.index)
    assert [stage.name for stage in testbed.traits.stages if stage.live] == ["course"]
    assert "course" in listener.stages
    assert order.run not in testbed.list()


def test_an_unknown_run_can_be_removed(testbed: Substrate) -> None:
    assert list(testbed.destroy("never", None, RecordingListener())) == []


def test_all_installed_testbeds_are_found() -> None:
    assert [testbed.traits.name for testbed in all_testbeds()] == ["docker", "processes"]
    with pytest.raises(FedsimError, match="no testbed clouds is installed; there are docker, processes"):
        find_testbed("clouds")
