"""MobileNetV3-small as in the embedded-vision benchmark of Flower, which published its times on Raspberry Pis."""

from __future__ import annotations

from ..facts import Reference

FACTS = Reference(
    name="mobilenetv3-small",
    engine="federatedscope",
    title="one SGD step of MobileNetV3-small (2.54 million parameters) on 16 images of 224 x 224, in torch",
    program="participant/federatedscope/reference_step.py",
    base_seconds=0.29,
    slowest_s=10.4,
    parts=None,
    step_bytes=800 << 20,
    part_bytes=64 << 20,
    version=2,
)
