"""Calibrating lab hosts: all at once, on each one reference after the other; what is known is not measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from threading import Event
from typing import Any

from rich.console import Console

from fedsim_runner.compute import store
from fedsim_runner.compute.calibration import (
    QUOTA_CPUS,
    Calibration,
    Timing,
    devices_of_each_quota,
    small_quota,
    summarise,
    threads_to_try,
)
from fedsim_runner.compute.references import reference_of_engine
from fedsim_runner.compute.references.facts import Reference
from fedsim_runner.lab.access import LabAccess
from fedsim_runner.lab.host import LabHost

from ...values import UnreachableError
from ..docker_engine import lab_engine
from ..lab_playbooks import Images, build_images
from ..remote.probe import probe_lab_hosts
from .timed_container import Phase, TimedContainer, TimedSteps, TimingError, remove_left_over, timed_containers

# In a quota a step takes several times as long, on the slowest devices some ten seconds.
SECONDS_FREE = 2.0
SECONDS_WITHIN_QUOTA = 11.0
# Before each step and after the last.
SECONDS_OF_PARTS = 0.3
AT_ONCE = 32
ENGINE_TIMEOUT_S = 120


@dataclass(frozen=True)
class Calibrated:
    """A lab host's calibration. ``took_s``: None: it was known."""

    lab_host: str
    calibration: Calibration
    took_s: float | None


def calibrate(
    console: Console,
    image_base: str | None,
    engines: Sequence[str],
    hosts: Sequence[LabHost],
    access: LabAccess,
    again: bool,
) -> Sequence[Calibrated | TimingError]:
    """Time the reference of each engine on each lab host, and keep the results.

    Args:
        console: for progress.
        image_base: what images are built on; None: what is there.
        engines: that have a reference.
        hosts: the lab hosts.
        access: how they are reached.
        again: whether what is known is measured anew.

    Raises:
        FedsimError: a lab host cannot be reached, the images cannot be built, or results cannot be kept.
    """
    images = build_images(console, image_base, engines, hosts, access)
    probed = [host for host in probe_lab_hosts(hosts, access) if not host.missing]

    stop = Event()

    def one_host(host: LabHost) -> list[Calibrated | TimingError]:
        return _calibrate_host(host, images[host.name], engines, access, again, stop)

    with ThreadPoolExecutor(min(AT_ONCE, max(1, len(probed)))) as pool:
        try:
            return [found for many in pool.map(one_host, probed) for found in many]
        finally:
            stop.set()  # after an interrupt, the pool would wait until everything is timed


def _calibrate_host(
    host: LabHost, images: Images, engines: Sequence[str], access: LabAccess, again: bool, stop: Event
) -> list[Calibrated | TimingError]:
    found: list[Calibrated | TimingError] = []
    try:
        with lab_engine(host, ENGINE_TIMEOUT_S, access) as engine:
            remove_left_over(engine.client)
            for name in engines:
                reference = reference_of_engine(name)
                assert reference is not None
                image = _image_of(name, images.images)
                known = None if again else store.find(host.processor, reference.name, image)
                if known is not None and known.is_current(reference):
                    found.append(Calibrated(host.name, known, None))
                    continue
                begun = time.monotonic()
                made = measure_surely(partial(_measure, engine.client, host, image, reference, stop))
                store.keep(made)
                found.append(Calibrated(host.name, made, time.monotonic() - begun))
    except (TimingError, UnreachableError) as error:
        found.append(TimingError(f"lab host {host.name}: {error}"))
    return found


def measure_surely(measure: Callable[[], Calibration]) -> Calibration:
    """Measure, and once more if something else slowed the steps; return the surer of the two."""
    made = measure()
    return made if made.is_sure else min(made, measure(), key=lambda one: (one.was_busy, one.uncertainty))


def _image_of(engine: str, images: Mapping[str, Any]) -> str:
    """The image of the engine itself, without a device type."""
    return next(ref for ref in sorted(images) if ref.startswith(f"fedsim/engine-{engine}:"))


def _measure(client: Any, host: LabHost, image: str, reference: Reference, stop: Event) -> Calibration:
    cores = int(host.cpus)
    of_each = devices_of_each_quota(cores, host.memory_free_bytes or host.memory_bytes, reference)
    of_parts = 0.0 if reference.parts is not None else SECONDS_OF_PARTS
    free = Phase(SECONDS_FREE, of_parts)
    # A step takes so long within the smaller quota that none of them would have parts close to both of its ends.
    quotas = [[Phase(SECONDS_WITHIN_QUOTA, of_parts)]] * of_each + [[Phase(SECONDS_WITHIN_QUOTA)]] * of_each
    more = [count for count in threads_to_try(cores) if count > 1]
    plans = [(1, phases) for phases in quotas] + [(count, [Phase(SECONDS_FREE)]) for count in more]
    plans[0] = (1, [free, *quotas[0]])
    with timed_containers(client, image, reference, plans, stop) as containers:
        timings = [_summarise(1, None, [containers[0].time(None)])]
        for count, container in zip(more, containers[len(quotas) :], strict=True):
            timings.append(_summarise(count, None, [container.time(None)]))
        limits = [QUOTA_CPUS] * of_each + [small_quota(timings[0].cpu_s, reference)] * of_each
        # All at once, as devices are, and for as long: the processor's speed changes by some percent within seconds.
        with ThreadPoolExecutor(len(limits)) as pool:
            found = list(pool.map(TimedContainer.time, containers, limits))
    within = [_summarise(1, limits[first], found[first : first + of_each]) for first in (0, of_each)]
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return Calibration(host.processor, reference.name, image, now, (*within, *timings), reference.version)


def _summarise(threads: int, cpus: float | None, timed: Sequence[TimedSteps]) -> Timing:
    """What equal containers found, as one."""
    parts = [one.part_cpu_s for one in timed if one.part_cpu_s is not None]
    steps = [step for one in timed for step in one.steps]
    return summarise(threads, cpus, steps, fmean(parts) if parts else None)
