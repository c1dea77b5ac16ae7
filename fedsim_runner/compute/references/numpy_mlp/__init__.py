"""A perceptron in numpy, as the light engine trains it. Nobody published its times on devices: they are derived."""

from __future__ import annotations

from ..facts import Reference

FACTS = Reference(
    name="numpy-mlp",
    engine="light",
    title="100 SGD steps of a perceptron 784-256-10 with batch normalisation on 32 samples each, in numpy",
    program="participant/light/reference_step.py",
    base_seconds=0.035,
    slowest_s=1.26,
    parts=100,
    step_bytes=32 << 20,
    part_bytes=3 << 20,
)
