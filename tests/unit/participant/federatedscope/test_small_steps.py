"""With how many threads a client trains, by the length of its steps."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

import fedsim_runner
from tests.federatedscope import PYTHON

pytestmark = pytest.mark.federatedscope

PROGRAM = """
import sys, torch
from torch import nn
from fedsim_runner.participant.federatedscope.small_steps import compute_small_steps_alone

compute_small_steps_alone()
before = torch.get_num_threads()
width, samples, steps = map(int, sys.argv[1:])
model = nn.Linear(width, width)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
batch = torch.ones(samples, width)
for _ in range(steps):
    optimizer.zero_grad()
    model(batch).sum().backward()
    optimizer.step()
print(before, torch.get_num_threads())
"""


@pytest.mark.parametrize(
    ("threads", "width", "samples", "steps", "expected"),
    [
        (2, 8, 8, 30, "1 1"),
        (2, 1024, 256, 30, "1 2"),
        (2, 1024, 256, 5, "1 1"),  # too few to know
        (1, 1024, 256, 30, "1 1"),
    ],
)
def test_long_steps_get_all_threads_and_short_ones_get_one(
    source: Path, threads: int, width: int, samples: int, steps: int, expected: str
) -> None:
    answer = subprocess.run(
        [PYTHON, "-c", PROGRAM, str(width), str(samples), str(steps)],
        capture_output=True,
        text=True,
        check=True,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(fedsim_runner.__file__).parent.parent),
            "OMP_NUM_THREADS": str(threads),
            "MKL_NUM_THREADS": str(threads),
        },
    )
    assert answer.stdout.strip() == expected
