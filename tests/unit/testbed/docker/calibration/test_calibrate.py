"""A lab host is calibrated again if something else computed there meanwhile."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedsim_runner.compute.calibration import Calibration
from fedsim_runner.testbed.docker.calibration.calibrate import measure_surely
from tests.unit.compute.test_calibration import calibration


def unsure(spread: float) -> Calibration:
    made = calibration()
    return replace(made, timings=tuple(replace(one, spread=spread) for one in made.timings))


@pytest.mark.parametrize(
    ("measured", "kept", "times"),
    [
        ([calibration()], 0, 1),
        ([unsure(0.1), calibration()], 1, 2),
        ([unsure(0.06), unsure(0.2)], 0, 2),
        ([unsure(0.2), unsure(0.06)], 1, 2),
        ([calibration(wall_s=2.0), unsure(0.1)], 1, 2),
    ],
)
def test_the_surer_of_two_is_kept_and_a_sure_one_is_not_measured_again(
    measured: list[Calibration], kept: int, times: int
) -> None:
    left = list(measured)
    assert measure_surely(lambda: left.pop(0)) is measured[kept]
    assert len(measured) - len(left) == times
