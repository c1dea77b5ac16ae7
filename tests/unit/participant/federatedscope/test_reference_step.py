"""The part of torch's reference step that participants time before the gate."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

import fedsim_runner
from tests.federatedscope import PYTHON

pytestmark = pytest.mark.federatedscope

PROGRAM = """
import json, time, torch
from torch.optim.optimizer import register_optimizer_step_post_hook
from fedsim_runner.participant.reference_timing import prepare_reference

steps, numbers = [], []
register_optimizer_step_post_hook(lambda *_: steps.append(1))
for timed in (True, False):
    torch.manual_seed(5)
    if timed:
        timing = prepare_reference("mobilenetv3-small", 70.0)(time.time() + 0.5)
    numbers.append(torch.rand(3).tolist())
print(json.dumps({"numbers": numbers, "steps": len(steps), "step_s": timing.step_s, "timed_s": timing.timed_s}))
"""


def test_parts_are_timed_and_leave_nothing_for_the_course_to_notice(source: Path) -> None:
    answer = subprocess.run(
        [PYTHON, "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(fedsim_runner.__file__).parent.parent),
            "OMP_NUM_THREADS": "1",
        },
    )
    found = json.loads(answer.stdout)
    assert found["step_s"] > 0 and 0 < found["timed_s"] < 0.5
    assert found["numbers"][0] == found["numbers"][1]
    assert found["steps"] == 0
