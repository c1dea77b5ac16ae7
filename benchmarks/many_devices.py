"""N light devices finish a course on this machine: memory per device, idle CPU of devices and agent.

    python -m benchmarks.many_devices [N]

Idle figures are taken while every device waits at the gate, before the course.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import docker

from fedsim_runner.contract.names import LABEL_KIND, LABEL_RUN
from fedsim_runner.contract.paths import REPORT

from .installation import this_installation
from .light_mix import write_light_mix
from .tables import print_table

IDLE_SECONDS = 10.0


def read_cpu_seconds(client: docker.DockerClient, run: str, kind: str) -> dict[str, float]:
    """Return the CPU seconds used so far by each container, as the Engine accounts them."""
    filters = {"label": [f"{LABEL_RUN}={run}", f"{LABEL_KIND}={kind}"]}
    seen = {}
    for summary in client.api.containers(filters=filters):
        stats: Any = client.api.stats(summary["Id"], stream=False, one_shot=True)
        seen[summary["Names"][0]] = stats["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9
    return seen


def measure_idle_share(client: docker.DockerClient, run: str, kind: str) -> float:
    """Return the mean share of one core that a container of this kind uses while nothing happens."""
    before, started = read_cpu_seconds(client, run, kind), time.monotonic()
    time.sleep(IDLE_SECONDS)
    after, elapsed = read_cpu_seconds(client, run, kind), time.monotonic() - started
    return statistics.mean((after[name] - before[name]) / elapsed for name in before)


def main() -> None:
    """Print one table."""
    devices = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    run = f"bench-{devices}"
    client = docker.from_env(timeout=120)
    with tempfile.TemporaryDirectory(prefix="fedsim-bench-") as name:
        folder = Path(name)
        spec = write_light_mix(folder, devices, rounds=5)
        this_installation().run(["up", str(spec), "--run", run], folder)
        try:
            device_idle = measure_idle_share(client, run, "device")
            agent_idle = measure_idle_share(client, run, "agent")
        finally:
            this_installation().run(["down", run], folder)
        course = this_installation().run([str(spec), "--run", run], folder)
        report = json.loads((folder / "runs" / run / REPORT).read_text(encoding="utf-8"))
    peaks = [device["memory_peak_bytes"] / 2**20 for device in report["devices"].values() if device["role"] == "client"]
    print_table(
        f"{devices} light devices",
        ("figure", "value"),
        (
            ("status", report["status"]),
            ("rounds", len(report["rounds"])),
            ("test accuracy", report["final"]["test_acc"]),
            ("whole command, s", course),
            ("client memory peak, MB: median", statistics.median(peaks)),
            ("client memory peak, MB: largest", max(peaks)),
            ("idle device, % of a core", device_idle * 100),
            ("idle agent, % of a core", agent_idle * 100),
        ),
    )


if __name__ == "__main__":
    main()
