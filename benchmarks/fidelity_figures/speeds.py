"""The reference step of an engine within the limits of devices whose types say how fast they are."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import docker

from fedsim_runner.catalog.load import load_catalog
from fedsim_runner.compute.references import REFERENCES, convert, reference_of_engine
from fedsim_runner.compute.references.facts import Reference
from fedsim_runner.compute.store import known_for
from fedsim_runner.contract.host_capacity import measure_this_machine
from fedsim_runner.testbed.docker.calibration.timed_container import time_steps

from .smoothness import preferred

COLUMNS = ("type", "reference", "cpus", "asked", "got", "error", "steps")
SECONDS = 30.0
LEAST_STEPS = 3  # however long they take


@dataclass(frozen=True)
class Measured:
    """A type's step: seconds asked for and got."""

    type: str
    reference: str
    cpus: float
    asked_s: float
    got_s: float
    steps: int

    @property
    def error(self) -> float:
        """By which share it took longer."""
        return self.got_s / self.asked_s - 1

    def cells(self) -> tuple[object, ...]:
        """The row of a table."""
        asked, got = f"{self.asked_s:.3f} s", f"{self.got_s:.3f} s"
        return (self.type, self.reference, f"{self.cpus:g}", asked, got, f"{100 * self.error:+.1f} %", self.steps)


def measure(engine: str, types: Sequence[str]) -> list[Measured]:
    """Time the step on one device of each type, all at once: so a change of the processor's speed is in all of them.

    Raises:
        SystemExit: this machine was not calibrated for the engine, or a type has no figures.
    """
    reference = reference_of_engine(engine)
    known = {} if reference is None else known_for(measure_this_machine().processor)
    if reference is None or reference.name not in known:
        raise SystemExit(f"no calibration: fedsim-provision calibrate --engine {engine}")
    calibration, client = known[reference.name], docker.from_env(timeout=120)
    asked = {name: _asked(name, reference) for name in types}
    with preferred(client.info()) as parent, ThreadPoolExecutor(len(asked)) as pool:

        def measured(name: str) -> Measured:
            share = calibration.share(asked[name])
            of = (calibration.image, reference, share.threads, share.cpus)
            timing = time_steps(client, *of, SECONDS, parent, LEAST_STEPS)
            return Measured(name, reference.name, share.cpus, asked[name], timing.wall_s, timing.steps)

        return list(pool.map(measured, asked))


def _asked(name: str, reference: Reference) -> float:
    compute = load_catalog().device_types[name].compute
    if compute is None:
        raise SystemExit(f"{name} is nominal: it has no figures")
    return convert(compute.seconds, REFERENCES[compute.reference], reference)
