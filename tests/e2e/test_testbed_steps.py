"""The Docker testbed step by step, as in its protocol; the command runs all steps in one playbook."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.results import write_report
from fedsim_runner.runs.experiment_file import load_experiment
from fedsim_runner.runs.planning import plan_run
from fedsim_runner.runs.prepare import write_run_files
from fedsim_runner.testbed.docker.testbed import DockerTestbed
from fedsim_runner.testbed.values import Order, Stopped

from .conftest import small_spec

RUN = "testbed-steps"


class RecordingListener:
    """A listener that stops the work in a stage."""

    def __init__(self, stop_at: str | None = None) -> None:
        self._stop_at = stop_at
        self.stages: list[str] = []

    def stage(self, name: str) -> None:
        self.stages.append(name)

    def detail(self, text: str) -> None:
        pass

    def event(self, event: Mapping[str, Any]) -> None:
        pass

    def snapshot(self, snapshot: Mapping[str, Any]) -> None:
        pass

    def cancelled(self) -> bool:
        return self._stop_at in self.stages


def test_provision_open_follow_destroy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    testbed = DockerTestbed()
    accepted = testbed.accept(load_experiment(small_spec(tmp_path, "steps", rounds=2)))
    plan, lacks = plan_run(accepted, testbed, RUN)
    assert not lacks
    folder = tmp_path / RUN
    folder.mkdir()
    write_run_files(plan, folder)
    order = Order(plan, folder)
    try:
        with pytest.raises(Stopped) as stopped:
            testbed.provision(order, RecordingListener(stop_at="devices"))
        assert (stopped.value.stage, stopped.value.failure) == ("devices", None)
        assert [list(testbed.destroy(RUN, folder, RecordingListener())) for _ in range(2)] == [[], []]
        assert testbed.provision(order, RecordingListener()) > 0
        assert testbed.provision(order, RecordingListener()) == 0
        up = testbed.status(RUN)
        assert up is not None
        assert (up["state"], sorted(up["devices"])) == ("provisioned", ["mote-1", "mote-2", "server"])
        assert {entry["lab_host"] for entry in up["devices"].values()} == {"local"}
        for _ in range(2):
            testbed.open(RUN)
        listener = RecordingListener()
        testbed.follow(order, listener)
        assert listener.stages[-1] == "verdict"
        report = write_report(folder)
        assert (report["status"], len(report["rounds"])) == ("finished", 2)
        assert RUN not in testbed.list()
    finally:
        testbed.destroy(RUN, folder, RecordingListener())
