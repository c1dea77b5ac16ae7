"""Python code, and training steps with the libraries of this image, timed: how fast a device computes.

    python3 -m fedsim_runner.participant.reference

It prints the CPU seconds of each as JSON. Only ratios mean something: between two architectures of one image on one lab
host.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

#: A batch, its features, the neurons of the hidden layer, and the classes: a small network on images of 28 x 28.
SHAPE = (64, 784, 128, 10)
#: Steps before the clock starts: libraries load their parts at the first, and an emulator translates them.
WARM_UP = 3
#: How long to go on at least, in CPU seconds, and in how many steps.
LEAST_S = 0.5
LEAST_STEPS = 5


def seconds_per_step(step: Callable[[], Any], clock: Callable[[], float] = time.process_time) -> float:
    """Return the CPU seconds of a step, on average."""
    for _ in range(WARM_UP):
        step()
    began, steps = clock(), 0
    while steps < LEAST_STEPS or clock() - began < LEAST_S:
        step()
        steps += 1
    return (clock() - began) / steps


def training_step() -> Callable[[], Any]:
    """Return a step of stochastic gradient descent, in what the image's engine computes with."""
    for build in (_torch_step, _numpy_step):
        try:
            return build()
        except ImportError:
            continue
    return python_step()


def _torch_step() -> Callable[[], Any]:
    import torch  # type: ignore[import-not-found, unused-ignore]  # only images of its engine have it

    torch.set_num_threads(1)
    torch.manual_seed(0)
    batch, features, hidden, classes = SHAPE
    model = torch.nn.Sequential(torch.nn.Linear(features, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, classes))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    inputs, labels = torch.randn(batch, features), torch.randint(0, classes, (batch,))

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(inputs), labels).backward()
        optimizer.step()

    return step


def _numpy_step() -> Callable[[], Any]:
    import numpy as np

    batch, features, hidden, classes = SHAPE
    random = np.random.default_rng(0)
    inputs = random.standard_normal((batch, features), dtype=np.float32)
    wanted = np.eye(classes, dtype=np.float32)[random.integers(0, classes, batch)]
    first = random.standard_normal((features, hidden), dtype=np.float32) * np.float32(0.03)
    second = random.standard_normal((hidden, classes), dtype=np.float32) * np.float32(0.1)

    def step() -> None:
        active = np.maximum(inputs @ first, 0)
        scores = np.exp(active @ second)
        error = (scores / scores.sum(axis=1, keepdims=True) - wanted) / batch
        back = (error @ second.T) * (active > 0)
        second[...] -= np.float32(0.01) * (active.T @ error)
        first[...] -= np.float32(0.01) * (inputs.T @ back)

    return step


def python_step() -> Callable[[], Any]:
    """Return a step without libraries: the products of a small layer."""
    rows = [[(row * column) % 7 / 7 for column in range(64)] for row in range(32)]

    def step() -> list[list[float]]:
        return [[sum(map(float.__mul__, left, right)) for right in rows] for left in rows]

    return step


if __name__ == "__main__":
    print(json.dumps({"python": seconds_per_step(python_step()), "step": seconds_per_step(training_step())}))
