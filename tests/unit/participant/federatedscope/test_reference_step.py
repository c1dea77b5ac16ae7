"""Torch's reference step, and the part of it that participants time before the gate."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

import fedsim_runner
from tests.federatedscope import PYTHON
from tests.unit.participant.federatedscope.helpers import run_python
from tests.unit.participant.helpers import REPOSITORY

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

# Page faults of each of six steps; the first one also loads what it needs.
STEPS = """
import json, resource
from fedsim_runner.participant.federatedscope.reference_step import make_step

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

step, found = make_step(1), []
for _ in range(6):
    before = faults()
    step()
    found.append(faults() - before)
print(json.dumps(found))
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


def test_the_heap_does_not_grow_with_the_steps(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dockerfile = (REPOSITORY / "dockerfiles" / "torch" / "Dockerfile").read_text(encoding="utf-8")
    kept = dict(re.findall(r"(MALLOC_\w+)=(\d+)", dockerfile))
    assert kept
    for name, value in kept.items():
        monkeypatch.setenv(name, value)
    done = run_python(source, STEPS)
    assert done.returncode == 0, done.stderr
    # The kernel provides some 80,000 pages for the first step if the heap is not there, and up to 14,000 for others.
    assert max(json.loads(done.stdout)[1:]) < 500
