"""What calibrate says about lab hosts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedsim_runner.cli.verbs import calibrate
from fedsim_runner.testbed.docker.calibration.calibrate import Calibrated
from tests.unit.compute.test_calibration import calibration


def test_lab_hosts_of_one_model_that_are_not_as_fast_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    slow, other = calibration(one_s=0.5), replace(calibration(one_s=0.9), processor="another")
    calibrate._print([Calibrated("a", calibration(), 1.0), Calibrated("b", slow, 1.0), Calibrated("c", other, None)])
    shown = " ".join(capsys.readouterr().out.split())
    assert "note: lab hosts a and b have the same processor (a processor)" in shown
    assert "took 400 ms and 500 ms of it" in shown and "hosts a and c" not in shown


def test_equal_lab_hosts_are_not_named_and_busy_ones_are_with_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    busy = calibration(wall_s=2.0)
    calibrate._print([Calibrated("a", calibration(), 1.0), Calibrated("b", busy, 1.0)])
    shown = " ".join(capsys.readouterr().out.split())
    assert "same processor" not in shown and "lab host a was busy" not in shown
    assert "lab host b was busy with something else" in shown
    assert "`fedsim-provision calibrate --engine federatedscope --again`" in shown
