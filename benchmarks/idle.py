"""The cost of a FederatedScope participant that waits for a message, with and without the patch busy_wait.

    python -m benchmarks.idle

In a running course of 1 + 2 the Engine pauses one client: the server waits for its update, the other client for the
next round. The Engine reports their processor time over ten seconds. Then the run is interrupted.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import docker

from fedsim_runner.contract.names import container_name

from .installation import this_installation
from .journal import wait_for_round
from .many_devices import IDLE_SECONDS, read_cpu_seconds
from .tables import print_table
from .torch_courses import write_unlimited_course

LIMIT_S = 300
SETTLE_S = 3
# Two rounds are over.
SETTLED_ROUND = 3


def measure_waiting_shares(folder: Path, name: str, patches_off: tuple[str, ...]) -> dict[str, float]:
    """Return the share of one core that the server and the other client use while they wait."""
    spec = write_unlimited_course(folder, name, clients=2, rounds=10_000, model="lr", patches_off=patches_off)
    client = docker.from_env(timeout=120)
    command = this_installation().start([str(spec), "--run", name], folder)
    try:
        wait_for_round(command, name, SETTLED_ROUND, LIMIT_S)
        client.containers.get(container_name(name, "client-2")).pause()
        time.sleep(SETTLE_S)
        before, started = read_cpu_seconds(client, name, "device"), time.monotonic()
        time.sleep(IDLE_SECONDS)
        after, elapsed = read_cpu_seconds(client, name, "device"), time.monotonic() - started
    finally:
        command.interrupt()
    waiting = {device: f"/{container_name(name, device)}" for device in ("server", "client-1")}
    return {device: (after[full] - before[full]) / elapsed for device, full in waiting.items()}


def main() -> None:
    """Print one table."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="fedsim-bench-") as folder:
        for title, name, patches_off in (
            ("without busy_wait's patch", "idle-stock", ("busy_wait",)),
            ("as we run it", "idle-patched", ()),
        ):
            shares = measure_waiting_shares(Path(folder), name, patches_off)
            rows.append((title, *(f"{shares[device] * 100:.2f} %" for device in ("server", "client-1"))))
    print_table("a waiting participant, share of one core", ("FederatedScope", "server", "client"), rows)


if __name__ == "__main__":
    main()
