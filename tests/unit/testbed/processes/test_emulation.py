"""Plain processes are programs of this machine, whatever their device types say."""

from __future__ import annotations

from dataclasses import replace

from fedsim_runner.plan.placement import make_plan
from fedsim_runner.testbed.processes.testbed import ProcessTestbed
from tests.builders import device_type, experiment, lab_host


def test_that_nothing_is_emulated_is_said() -> None:
    board = replace(device_type("board", arch="arm64"), emulated_by="qemu")
    plan = make_plan(experiment(2, client=board), [lab_host("local", arch="any")], "r")
    assert [lack.what for lack in ProcessTestbed().lacks(plan)][1:] == [
        "nothing is emulated without Docker: phone-1, phone-2 run as this machine's own"
    ]
    without = make_plan(experiment(2), [lab_host("local", arch="any")], "r")
    assert len(ProcessTestbed().lacks(without)) == 1
