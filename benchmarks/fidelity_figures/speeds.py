"""The reference step of an engine on devices whose types say how fast they are, as a run has them: within the limits of
the plan, which are corrected, where a run does so, by what the devices time before the gate opens.
"""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker

from fedsim_runner.catalog.load import load_catalog
from fedsim_runner.compute.calibration import Calibration
from fedsim_runner.compute.references import REFERENCES, convert, reference_of_engine
from fedsim_runner.compute.references.facts import Reference
from fedsim_runner.compute.store import known_for
from fedsim_runner.compute.values import Share
from fedsim_runner.contract.compute_threads import thread_variables
from fedsim_runner.contract.cpu_limit import limit_to
from fedsim_runner.contract.host_capacity import measure_this_machine
from fedsim_runner.contract.names import LABEL_CALIBRATION
from fedsim_runner.contract.reference_windows import StepTime, common_correction, corrected_cpus, correction
from fedsim_runner.plan.timed_steps import seconds_of_timing

from . import timed_device
from .smoothness import preferred

COLUMNS = ("type", "reference", "cpus", "corrected by", "asked", "got", "error", "largest error", "steps")
SECONDS = 60.0  # some six steps of the slowest devices with torch
LEAST_STEPS = 3  # however long they take
POLL_S = 0.25  # seldom: each look has the Engine compute beside the devices


@dataclass(frozen=True)
class Measured:
    """A type's step: seconds asked for, and got by each of its devices; and how many steps one of them did.

    ``cpus``: planned; ``corrected``: what each device got for them.
    """

    type: str
    reference: str
    cpus: float
    corrected: Sequence[float]
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
        changes = [cpus / self.cpus - 1 for cpus in self.corrected]
        span = f"{min(changes):+.1%} to {max(changes):+.1%}"
        figures = (asked, got, f"{error:+.1%}", f"{self.largest_error:+.1%}", self.steps)
        return (self.type, self.reference, f"{self.cpus:g}", span, *figures)


@dataclass(frozen=True)
class _Device:
    type: str
    container: Any
    share: Share
    asked_s: float


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
    with preferred(client.info()) as parent, _running(client, reference, calibration, asked, devices, parent) as made:
        _lines(made, 1)
        _limit(made, [one.share.cpus for one in made])
        times = [StepTime(*json.loads(lines[1])) for lines in _lines(made, 2)]
        corrected = _correct(made, times, reference)
        _limit(made, corrected)
        steps = [json.loads(lines[2]) for lines in _lines(made, 3)]
    return [
        Measured(
            name,
            reference.name,
            calibration.share(asked[name]).cpus,
            [cpus for one, cpus in zip(made, corrected, strict=True) if one.type == name],
            asked[name],
            [statistics.fmean(times) for one, times in zip(made, steps, strict=True) if one.type == name],
            next(len(times) for one, times in zip(made, steps, strict=True) if one.type == name),
        )
        for name in asked
    ]


def _correct(devices: Sequence[_Device], times: Sequence[StepTime], reference: Reference) -> list[float]:
    """The limits that the agent of a run gives them: by what each has timed, or all of them."""
    steps = [
        (StepTime(one.asked_s, one.asked_s * one.share.cpus), took) for one, took in zip(devices, times, strict=True)
    ]
    factors = [correction(*one) for one in steps] if reference.parts else [common_correction(steps)] * len(steps)
    return [corrected_cpus(one.share.cpus, factor) for one, factor in zip(devices, factors, strict=True)]


def _asked(name: str, reference: Reference) -> float:
    compute = load_catalog().device_types[name].compute
    if compute is None:
        raise SystemExit(f"{name} is nominal: it has no figures")
    return convert(compute.seconds, REFERENCES[compute.reference], reference)


@contextmanager
def _running(
    client: Any,
    reference: Reference,
    calibration: Calibration,
    asked: Mapping[str, float],
    devices: int,
    parent: str | None,
) -> Iterator[list[_Device]]:
    """Containers that have no limit yet."""
    program = Path(timed_device.__file__).read_text(encoding="utf-8")
    made: list[_Device] = []
    shares = {name: calibration.share(seconds) for name, seconds in asked.items()}
    for name, share in shares.items():
        if share.threads > 1:
            raise SystemExit(f"{name} needs more than a core of this machine: limits of one thread are corrected")
    parts = {name: reference.parts or calibration.parts(share.cpus) or math.inf for name, share in shares.items()}
    timing_s = max(
        seconds_of_timing(asked[name] / parts[name], limit_to(share.cpus).period_us / 1e6)
        for name, share in shares.items()
    )
    try:
        for name, share in shares.items():
            for _ in range(devices):
                arguments = (reference.name, parts[name], timing_s, SECONDS, LEAST_STEPS)
                container = client.containers.run(
                    calibration.image,
                    ["python3", "-c", program, *map(str, arguments)],
                    environment=thread_variables(share.threads),
                    network_mode="none",
                    cgroup_parent=parent,
                    labels={LABEL_CALIBRATION: "1"},
                    detach=True,
                )
                made.append(_Device(name, container, share, asked[name]))
        yield made
    finally:
        for one in made:
            one.container.remove(force=True)


def _limit(devices: Sequence[_Device], cpus: Sequence[float]) -> None:
    """Give devices these limits, and have them go on, all at once."""
    for one, own in zip(devices, cpus, strict=True):
        limit = limit_to(own, device=one.container.id)
        one.container.update(cpu_period=limit.period_us, cpu_quota=limit.quota_us)
    for one in devices:
        one.container.kill("SIGUSR1")


def _lines(devices: Sequence[_Device], count: int) -> list[list[str]]:
    """Wait until each device has printed so many lines, and return them."""
    end, found = time.monotonic() + timed_device.GIVE_UP_S, []
    for one in devices:
        while len(lines := one.container.logs().decode(errors="replace").splitlines()) < count:
            one.container.reload()
            if one.container.status == "exited" or time.monotonic() > end:
                raise SystemExit(f"a step could not be timed: {lines[-1] if lines else 'nothing was printed'}")
            time.sleep(POLL_S)
        found.append(lines)
    return found
