"""One hundred training steps of the light engine's perceptron: linear, batch normalisation, ReLU, linear; with SGD.

It computes what the engine's own model does with batches of 32 samples of 784 numbers; samples and labels are random,
which does not change what a step takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

INPUTS, HIDDEN, CLASSES = 784, 256, 10
BATCH = 32
STEPS = 100
RATE = 0.01
EPSILON = 1e-5


def train(weights: dict[str, Any], x: Any, y: Any) -> None:
    """One step: forward, backward, and the weights changed in place."""
    hidden = x @ weights["w1"].T + weights["b1"]
    deviation = np.sqrt(hidden.var(axis=0) + EPSILON)
    normal = (hidden - hidden.mean(axis=0)) / deviation
    scaled = normal * weights["scale"] + weights["shift"]
    active = np.maximum(scaled, 0)
    logits = active @ weights["w2"].T + weights["b2"]
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    gradient = shifted / shifted.sum(axis=1, keepdims=True)
    gradient[np.arange(BATCH), y] -= 1
    gradient /= BATCH
    back = (gradient @ weights["w2"]) * (scaled > 0)
    inner = back * weights["scale"]
    through = (inner - inner.mean(axis=0) - normal * (inner * normal).mean(axis=0)) / deviation
    gradients = {
        "w2": gradient.T @ active,
        "b2": gradient.sum(axis=0),
        "scale": (back * normal).sum(axis=0),
        "shift": back.sum(axis=0),
        "w1": through.T @ x,
        "b1": through.sum(axis=0),
    }
    for name, change in gradients.items():
        weights[name] -= RATE * change


def make_step(threads: int) -> Callable[[], None]:
    """Return a function that does all steps; the number of threads is that of the environment."""
    del threads
    part = make_part()

    def step() -> None:
        for _ in range(STEPS):
            part()

    return step


def make_part() -> Callable[[], None]:
    """Return a function that does one of them."""
    rng = np.random.default_rng(1)
    weights = {
        "w1": rng.uniform(-0.03, 0.03, (HIDDEN, INPUTS)).astype(np.float32),
        "b1": np.zeros(HIDDEN, np.float32),
        "scale": np.ones(HIDDEN, np.float32),
        "shift": np.zeros(HIDDEN, np.float32),
        "w2": rng.uniform(-0.06, 0.06, (CLASSES, HIDDEN)).astype(np.float32),
        "b2": np.zeros(CLASSES, np.float32),
    }
    x, y = rng.random((BATCH, INPUTS), np.float32), rng.integers(CLASSES, size=BATCH)

    return lambda: train(weights, x, y)
