"""What is known of a reference step."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reference:
    """A training step by which devices and lab hosts are compared.

    Attributes:
        name: as experiment files have it.
        engine: the engine whose image it runs in, and whose devices it times.
        title: what one step is.
        program: its file in the package.
        base_seconds: seconds of processor time of one step, with one thread within a quota of 0.25 cpus, on the machine
            that docs/fidelity.md names: by these, a figure for one reference is derived from one for another.
        slowest_s: what a step takes on the slowest devices of the catalogue that run courses: lab hosts are timed
            within such a quota as well.
        parts: of how many equal parts it consists; None: its part is other work, and each lab host is timed with both.
        step_bytes: what a container takes of memory that does steps, its engine included.
        part_bytes: what a device needs of memory, besides its engine, to do parts just before the gate opens.
        version: of its program. A step, or a part, of another version is other work.
    """

    name: str
    engine: str
    title: str
    program: str
    base_seconds: float
    slowest_s: float
    parts: int | None
    step_bytes: int
    part_bytes: int
    version: int = 1
