"""A training step of torch within CPU limits: with more cpus it must not take longer, and with two it must gain.

    python -m benchmarks.threads

Each number of cpus from 0.25 to the host's cores is tried six times, each time in a container of the torch image with
the limit, the environment and the choice of threads of a device. "Without us" is the same program with one and with two
threads and no limit. The shortest time counts, as whatever else happens on a machine makes a step longer. It takes
some nine minutes on two cores, and needs a machine on which nothing else computes.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from typing import Any

import docker
from docker.models.containers import Container
from rich.console import Console

from fedsim_runner.contract.compute_threads import thread_variables, threads_for
from fedsim_runner.contract.cpu_limit import limit_to
from fedsim_runner.contract.names import LABEL_CALIBRATION
from fedsim_runner.testbed.docker.lab_playbooks import build_images

from .tables import Limit, print_limits, print_table
from .training_steps import LOADED, MODELS, PROGRAM

CPUS = (0.25, 0.5, 0.75, 1.0, 1.2, 1.5, 1.75, 2.0)
PASSES = 3  # up, and down again
WINDOW_S = 0.5
LIMIT_S = 120.0
#: More cpus may make a step this much slower: what two measurements of the same differ by.
MOST_SLOWER = 1.05
#: At 2.0 cpus, of the time at 1.0, for a model that two threads without a limit speed up by as much.
MOST_AT_TWO = 0.7

Seconds = Mapping[str, float]


def cpus_to_try(cores: int) -> list[float]:
    """Return the numbers of cpus to try on a host: all steps up to two, then twice as many each time, and all cores."""
    more = [float(2**power) for power in range(2, 8) if 2**power < cores]
    return sorted({cpus for cpus in (*CPUS, *more, float(cores)) if cpus <= cores})


def run_steps(client: docker.DockerClient, image: str, cpus: float | None, threads: int) -> Seconds:
    """Time the steps of all models in a new container, as a device with ``cpus``; None: as torch does without us.

    Raises:
        SystemExit: the program failed; its output is shown.
    """
    container = client.containers.run(
        image,
        ["python3", "-c", PROGRAM, str(WINDOW_S), "bare" if cpus is None else "device"],
        environment=thread_variables(threads),
        network_mode="none",
        labels={LABEL_CALIBRATION: "1"},
        detach=True,
    )
    try:
        wait_for_output(container, LOADED)
        if cpus is not None:
            limit = limit_to(cpus)
            container.update(cpu_period=limit.period_us, cpu_quota=limit.quota_us)
        container.kill("SIGUSR1")
        found: Seconds = json.loads(wait_for_output(container, "{"))
        return found
    finally:
        container.remove(force=True)


def wait_for_output(container: Container, beginning: str) -> str:
    """Return the first line of a container's output that begins so.

    Raises:
        SystemExit: the container has ended, or there is none in time.
    """
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        container.reload()
        output = container.logs().decode(errors="replace")
        for line in output.splitlines():
            if line.startswith(beginning):
                return line
        if container.status not in ("created", "running"):
            break
        time.sleep(0.2)
    raise SystemExit(f"the program in the container failed\n{output}")


def torch_image() -> str:
    """Return the image with torch, built if it is not there."""
    found: Mapping[str, Any] = build_images(Console(stderr=True), None, ["federatedscope"]).images
    return next(reference for reference in found if "/torch:" in reference)


def least(one: Seconds | None, other: Seconds) -> Seconds:
    """Return the shorter time of each model: whatever else happens on a machine makes a step longer."""
    return other if one is None else {model: min(one[model], other[model]) for model in other}


def worst_ratio(steps: Mapping[float, Seconds], model: str) -> float:
    """Return the longest time of a step, as a ratio to the shortest one with fewer cpus."""
    times = [steps[cpus][model] for cpus in sorted(steps)]
    return max((late / min(times[:index]) for index, late in enumerate(times) if index), default=0.0)


def limits_of(steps: Mapping[float, Seconds], bare: Mapping[int, Seconds]) -> list[Limit]:
    """Return the figures that are held to a limit. ``bare``: without us, by number of threads."""
    limits = [Limit(f"{model}: more cpus, time of a step", worst_ratio(steps, model), MOST_SLOWER) for model in MODELS]
    for model in MODELS:
        if 2.0 in steps and bare[2][model] <= MOST_AT_TWO * bare[1][model]:
            ratio = steps[2.0][model] / steps[1.0][model]
            limits.append(Limit(f"{model}: at 2.0 cpus, of the time at 1.0", ratio, MOST_AT_TWO))
    return limits


def main() -> None:
    """Print the times and the limits."""
    client, image = docker.from_env(timeout=120), torch_image()
    cores = len(os.sched_getaffinity(0))
    tried = cpus_to_try(cores)
    steps: dict[float, Seconds] = {}
    bare: dict[int, Seconds] = {}
    for order in (tried, tried[::-1]) * PASSES:
        for cpus in order:
            steps[cpus] = least(steps.get(cpus), run_steps(client, image, cpus, threads_for(cpus)))
        for threads in (1, 2):
            bare[threads] = least(bare.get(threads), run_steps(client, image, None, threads))
    rows = [(f"{cpus:g}", threads_for(cpus), *(1000 * steps[cpus][model] for model in MODELS)) for cpus in tried]
    rows += [("without us", threads, *(1000 * bare[threads][model] for model in MODELS)) for threads in (1, 2)]
    print_table("milliseconds of a training step", ("cpus", "threads", *MODELS), rows)
    print_limits(limits_of(steps, bare))


if __name__ == "__main__":
    main()
