"""How much the times of equal steps differ within a small CPU limit.

Each device is a container of the light engine's image with the limit of a device of so many cpus. It takes steps of so
much processor time, one after the other; of a smooth limit each takes that time divided by the cpus. All devices begin
at once.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from rich.console import Console

from fedsim_runner.contract.cpu_limit import CpuLimit, limit_to
from fedsim_runner.contract.names import LABEL_CALIBRATION
from fedsim_runner.lab.access import THIS_MACHINE
from fedsim_runner.lab.usable_hosts import list_lab_hosts
from fedsim_runner.testbed.docker.lab_playbooks import build_images

READY = "ready"
READY_WITHIN_S = 60.0
# The first steps have what was left of the first period.
LEAD = 2
PROGRAM = f"""\
import json, signal, sys, time
step, steps = float(sys.argv[1]), int(sys.argv[2])
signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGUSR1}})
print({READY!r}, flush=True)
signal.sigwait({{signal.SIGUSR1}})
used, before, found = time.thread_time(), time.monotonic(), []
for _ in range(steps + {LEAD}):
    used += step
    while time.thread_time() < used:
        pass
    now = time.monotonic()
    found.append(now - before)
    before = now
print(json.dumps(found[{LEAD}:]), flush=True)
"""
# A cgroup for all devices with the kernel's largest weight, so that what else happens on the machine counts little.
PARENT = "fedsim-fidelity"
WEIGHTS = {
    "1": (Path("/sys/fs/cgroup/cpu") / PARENT, "cpu.shares", "262144"),
    "2": (Path("/sys/fs/cgroup") / PARENT, "cpu.weight", "10000"),
}


@dataclass(frozen=True)
class Smoothness:
    """Steps of one kind of device.

    Attributes:
        cpus: of each device.
        step_s: processor time of a step.
        devices: how many there are at once.
        limit: what was in force, but for the share by which periods differ.
        deviation: the largest of all devices' standard deviations, as a share of the time asked for.
        error: the mean of a device's steps against the time asked for, of the device for which it is largest.
    """

    cpus: float
    step_s: float
    devices: int
    limit: CpuLimit
    deviation: float
    error: float

    def cells(self) -> tuple[object, ...]:
        """The row of a table."""
        asked = 1000 * self.step_s / self.cpus
        period = f"{self.limit.quota_us / 1000:g} ms of {self.limit.period_us / 1000:g}"
        shares = f"{100 * self.deviation:.1f} %", f"{100 * self.error:+.1f} %"
        return (f"{self.cpus:g}", self.devices, f"{1000 * self.step_s:g} ms", period, f"{asked:g} ms", *shares)


COLUMNS = ("cpus", "devices", "step", "limit", "asked", "largest deviation", "largest error")


def engine_image() -> str:
    """The image of the light engine, built if it is not there."""
    found = build_images(Console(stderr=True), None, ["light"], list_lab_hosts(), THIS_MACHINE)
    return next(ref for images in found.values() for ref in images.images if "/engine-light:" in ref)


def measure(image: str, cpus: float, step_s: float, devices: int, steps: int) -> Smoothness:
    """Measure steps of devices on this machine, all at once."""
    client, limit = docker.from_env(timeout=120), limit_to(cpus)
    with preferred(client.info()) as parent, _containers(client, image, step_s, steps, devices, parent) as containers:
        for container in containers:
            own = limit_to(cpus, device=container.id)
            container.update(cpu_period=own.period_us, cpu_quota=own.quota_us)
        for container in containers:
            container.kill("SIGUSR1")
        found = [_times(container) for container in containers]
    asked = step_s / cpus
    return Smoothness(
        cpus,
        step_s,
        devices,
        limit,
        max(statistics.pstdev(times) for times in found) / asked,
        max((statistics.mean(times) / asked - 1 for times in found), key=abs),
    )


def _times(container: Any) -> Sequence[float]:
    container.wait()
    times: list[float] = json.loads(container.logs().decode().splitlines()[-1])
    return times


@contextmanager
def _containers(
    client: Any, image: str, step_s: float, steps: int, devices: int, parent: str | None
) -> Iterator[list[Any]]:
    made: list[Any] = []
    try:
        settings = {"network_mode": "none", "labels": {LABEL_CALIBRATION: "1"}, "cgroup_parent": parent}
        for _ in range(devices):
            command = ["python3", "-c", PROGRAM, str(step_s), str(steps)]
            made.append(client.containers.run(image, command, detach=True, **settings))
        for container in made:
            _wait_for_ready(container)
        yield made
    finally:
        for container in made:
            container.remove(force=True)


def _wait_for_ready(container: Any) -> None:
    end = time.monotonic() + READY_WITHIN_S
    while READY not in container.logs().decode():
        if time.monotonic() > end:
            raise SystemExit(f"a container did not start: {container.logs().decode()}")
        time.sleep(0.1)


@contextmanager
def preferred(info: Mapping[str, Any]) -> Iterator[str | None]:
    """The cgroup in which devices are preferred; none where systemd makes cgroups. ``info``: the Engine's answer."""
    if info["CgroupDriver"] != "cgroupfs":
        yield None
        return
    folder, file, weight = WEIGHTS[str(info.get("CgroupVersion", "1"))]
    folder.mkdir(exist_ok=True)
    try:
        (folder / file).write_text(weight)
        yield f"/{PARENT}"
    finally:
        folder.rmdir()
