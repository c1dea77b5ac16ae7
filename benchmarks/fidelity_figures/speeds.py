"""The reference step of an engine within the limits of devices whose types say how fast they are."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import docker

from fedsim_runner.catalog.load import load_catalog
from fedsim_runner.compute.calibration import Timing
from fedsim_runner.compute.references import REFERENCES, convert, reference_of_engine
from fedsim_runner.compute.references.facts import Reference
from fedsim_runner.compute.store import known_for
from fedsim_runner.contract.host_capacity import measure_this_machine
from fedsim_runner.testbed.docker.calibration.timed_container import time_steps

from .smoothness import preferred

COLUMNS = ("type", "reference", "cpus", "devices", "asked", "got", "error", "largest error", "steps")
SECONDS = 30.0
LEAST_STEPS = 3  # however long they take


@dataclass(frozen=True)
class Measured:
    """A type's step: seconds asked for, and got by each of its devices; and how many steps one of them did."""

    type: str
    reference: str
    cpus: float
    asked_s: float
    each_s: Sequence[float]
    steps: int

    @property
    def got_s(self) -> float:
        """What a step of the type took."""
        return statistics.fmean(self.each_s)

    @property
    def largest_error(self) -> float:
        """By which share the device that is furthest off took longer."""
        return max((got_s / self.asked_s - 1 for got_s in self.each_s), key=abs)

    def cells(self) -> tuple[object, ...]:
        """The row of a table."""
        asked, got, error = f"{self.asked_s:.3f} s", f"{self.got_s:.3f} s", self.got_s / self.asked_s - 1
        figures = (len(self.each_s), asked, got, f"{error:+.1%}", f"{self.largest_error:+.1%}", self.steps)
        return (self.type, self.reference, f"{self.cpus:g}", *figures)


def measure(engine: str, types: Sequence[str], devices: int) -> list[Measured]:
    """Time the step on so many devices of each type, all at once: a change of the processor's speed is in all of them.

    Raises:
        SystemExit: this machine was not calibrated for the engine, or a type has no figures.
    """
    reference = reference_of_engine(engine)
    known = {} if reference is None else known_for(measure_this_machine().processor)
    if reference is None or reference.name not in known:
        raise SystemExit(f"no calibration: fedsim-provision calibrate --engine {engine}")
    calibration, client = known[reference.name], docker.from_env(timeout=120)
    asked = {name: _asked(name, reference) for name in types}
    shares = {name: calibration.share(seconds) for name, seconds in asked.items()}
    with preferred(client.info()) as parent, ThreadPoolExecutor(devices * len(asked)) as pool:

        def time_device(name: str) -> Timing:
            of = (calibration.image, reference, shares[name].threads, shares[name].cpus)
            return time_steps(client, *of, SECONDS, parent, LEAST_STEPS)

        found = {name: [pool.submit(time_device, name) for _ in range(devices)] for name in asked}
        timings = {name: [one.result() for one in futures] for name, futures in found.items()}
    return [
        Measured(
            name,
            reference.name,
            shares[name].cpus,
            asked[name],
            [one.wall_s for one in timings[name]],
            timings[name][0].steps,
        )
        for name in asked
    ]


def _asked(name: str, reference: Reference) -> float:
    compute = load_catalog().device_types[name].compute
    if compute is None:
        raise SystemExit(f"{name} is nominal: it has no figures")
    return convert(compute.seconds, REFERENCES[compute.reference], reference)
