"""Create + start + shape N devices, against the same containers created and started by a bare Docker SDK loop.

    python -m benchmarks.provisioning [N ...]

The baseline repeats the create calls of our containers as the Engine reports them (image, limits, mounts, network),
with the same number of threads, on the same machine in the same run. Images are built beforehand.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker

from fedsim_runner.contract.names import LABEL_KIND, LABEL_RUN
from fedsim_runner.contract.paths import STATE_ROOT

from .common import print_table, run_fedsim, write_light_mix

THREADS = 4
LABEL = "org.fedsim.benchmark"


def read_create_calls(client: docker.DockerClient, run: str) -> list[dict[str, Any]]:
    """Return the create call of every device container of ``run``, ready to be repeated."""
    api = client.api
    calls = []
    filters = {"label": [f"{LABEL_RUN}={run}", f"{LABEL_KIND}=device"]}
    for summary in api.containers(all=True, filters=filters):
        seen = api.inspect_container(summary["Id"])
        endpoints = {
            name: {"IPAMConfig": endpoint["IPAMConfig"], "Aliases": endpoint["Aliases"]}
            for name, endpoint in seen["NetworkSettings"]["Networks"].items()
        }
        body = {
            **{
                key: seen["Config"][key]
                for key in ("Hostname", "User", "Env", "Cmd", "Entrypoint", "Image", "WorkingDir")
            },
            "Labels": {LABEL: run},
            "HostConfig": seen["HostConfig"],
            "NetworkingConfig": {"EndpointsConfig": endpoints},
        }
        calls.append({"name": seen["Name"].lstrip("/"), "config": body})
    return calls


def measure_bare_loop(
    client: docker.DockerClient, network: dict[str, Any], calls: list[dict[str, Any]]
) -> tuple[float, float]:
    """Return the seconds that a bare loop over the SDK takes to create and start, and to remove."""
    api = client.api
    identifiers: list[str] = []

    def create_and_start(call: dict[str, Any]) -> None:
        identifiers.append(api.create_container_from_config(call["config"], call["name"])["Id"])
        api.start(identifiers[-1])

    started = time.monotonic()
    created = api.create_network(
        network["Name"],
        driver=network["Driver"],
        options=network["Options"],
        ipam=network["IPAM"],
        internal=network["Internal"],
        labels={LABEL: "1"},
    )
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(create_and_start, calls))
        up = time.monotonic() - started
    finally:
        started = time.monotonic()
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda identifier: api.remove_container(identifier, force=True, v=True), identifiers))
        api.remove_network(created["Id"])
        down = time.monotonic() - started
    return up, down


def measure(client: docker.DockerClient, folder: Path, devices: int) -> dict[str, float]:
    """Measure one N: our ``up``, a second unchanged ``up``, the bare loop with the same containers, our ``down``."""
    spec = write_light_mix(folder, devices)
    run = f"bench-{devices}"
    first = run_fedsim(["up", str(spec), "--run", run], folder)
    try:
        again = run_fedsim(["up", str(spec), "--run", run], folder)
        calls = read_create_calls(client, run)
        network = client.api.networks(filters={"label": f"{LABEL_RUN}={run}"})[0]
    finally:
        down = run_fedsim(["down", run], folder)
    # The mounted folders were removed with the run; the Engine refuses to bind a folder that does not exist.
    for call in calls:
        for bind in call["config"]["HostConfig"].get("Binds") or []:
            Path(bind.split(":")[0]).mkdir(parents=True, exist_ok=True)
        for mount in call["config"]["HostConfig"].get("Mounts") or []:
            if mount["Type"] == "bind":
                Path(mount["Source"]).mkdir(parents=True, exist_ok=True)
    try:
        bare_up, bare_down = measure_bare_loop(client, network, calls)
    finally:
        shutil.rmtree(STATE_ROOT / run, ignore_errors=True)
    return {"up": first, "again": again, "down": down, "bare_up": bare_up, "bare_down": bare_down}


def main() -> None:
    """Print one row per N."""
    sizes = [int(argument) for argument in sys.argv[1:]] or [10, 50, 100]
    client = docker.from_env(timeout=120)
    rows = []
    with tempfile.TemporaryDirectory(prefix="fedsim-bench-") as name:
        folder = Path(name)
        run_fedsim(["images"], folder)
        for devices in sizes:
            seen = measure(client, folder, devices)
            rows.append(
                (
                    devices,
                    seen["bare_up"],
                    seen["up"],
                    seen["up"] / seen["bare_up"],
                    (seen["up"] - 10) / seen["bare_up"],
                    seen["again"],
                    seen["bare_down"],
                    seen["down"],
                    seen["down"] / seen["bare_down"],
                )
            )
    print_table(
        "Provisioning, seconds of wall time (ours is the whole command, Python and Ansible start included)",
        ("N", "bare up", "up", "up/bare", "(up-10)/bare", "up again", "bare down", "down", "down/bare"),
        rows,
    )


if __name__ == "__main__":
    main()
