"""The reference steps: each is a folder here with ``FACTS``, which name its program.

A program has ``make_step(threads)``, which returns a function that does one step, and ``make_part()``, which returns
one that does a part of it: work of some milliseconds that participants time just before the gate opens. It is among the
participant's modules, runs in the image of its engine, and may import only what is installed there.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from ...content import PACKAGE_DIR
from . import mobilenetv3_small, numpy_mlp
from .facts import Reference

REFERENCES: Final[Mapping[str, Reference]] = MappingProxyType(
    {facts.name: facts for facts in (mobilenetv3_small.FACTS, numpy_mlp.FACTS)}
)


def reference_of_engine(engine: str) -> Reference | None:
    """Return the step by which an engine's devices are timed; None: there is none."""
    return next((facts for facts in REFERENCES.values() if facts.engine == engine), None)


def step_program(reference: Reference) -> str:
    """Return the text of a reference's program."""
    return (PACKAGE_DIR / reference.program).read_text(encoding="utf-8")


def convert(seconds: float, known: Reference, wanted: Reference) -> float:
    """Return the time of a step of ``wanted`` on a device that takes ``seconds`` for one of ``known``.

    A device is taken to be as many times slower than the machine of ``base_seconds`` at the one as at the other.
    """
    return seconds * wanted.base_seconds / known.base_seconds
