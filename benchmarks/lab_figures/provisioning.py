"""`up` of a run on several lab hosts, compared with bare Docker on all of them at once."""

from __future__ import annotations

import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import docker

from fedsim_runner.contract.names import KIND_DEVICE, run_filter
from tests.lab.lab_hosts import lab as labs
from tests.lab.lab_hosts.hosts import LabHost

from ..installation import user_environment
from ..light_mix import write_light_mix
from ..tables import Limit, print_limits, print_table

#: Of the slowest lab host's bare time, and seconds besides.
MOST_TIMES, MOST_MORE_S = 1.2, 15.0
RUN = "bench-lab"
BARE = "fedsim-benchmark-bare"
BARE_TIMEOUT_S = 900.0


def measure(hosts: int, devices: int, pairs: int) -> int:
    """Measure and print; return the exit code. Images are on all lab hosts beforehand."""
    with tempfile.TemporaryDirectory() as place, labs.running(Path(place) / "lab", hosts) as lab:
        folder = Path(place)
        spec = write_light_mix(folder, devices)
        _fedsim(lab, folder, "up", str(spec), "--run", RUN)
        bare = {host.name: _bare_commands(host) for host in lab.hosts}
        _fedsim(lab, folder, "down", RUN)
        ours_s, bare_s = [], []
        for _ in range(pairs):
            ours_s.append(_fedsim(lab, folder, "up", str(spec), "--run", RUN))
            _fedsim(lab, folder, "down", RUN)
            with ThreadPoolExecutor(hosts) as pool:
                bare_s.append(max(pool.map(lambda host: _timed(host, bare[host.name]), lab.hosts)))
            for host in lab.hosts:
                host.console("sh", "-c", f"docker rm -f $(docker ps -aq --filter label={BARE})")
    print_table(
        f"{devices} devices on {hosts} lab hosts: medians of {pairs} interleaved pairs",
        ("how", "seconds"),
        [
            ("docker run, one after the other, on all lab hosts at once: the slowest", statistics.median(bare_s)),
            ("fedsim-provision up, the whole command", statistics.median(ours_s)),
        ],
    )
    more = statistics.median(ours - MOST_TIMES * bare for ours, bare in zip(ours_s, bare_s, strict=True))
    limit = Limit(f"what `up` takes beyond {MOST_TIMES:g} times bare Docker", more, MOST_MORE_S, " s")
    print_limits([limit])
    return int(more > MOST_MORE_S)


def _fedsim(lab: labs.Lab, folder: Path, verb: str, *arguments: str) -> float:
    """Run a verb on the control node; return the seconds of the whole command.

    Raises:
        SystemExit: it failed.
    """
    command = [sys.executable, "-m", "fedsim_runner", verb, *arguments, "-i", str(lab.inventory())]
    began = time.monotonic()
    done = subprocess.run(
        lab.on_control_node(command),
        cwd=folder,
        env={**user_environment(), "XDG_STATE_HOME": str(folder / "state")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"fedsim-provision {verb} exited {done.returncode}\n{done.stdout}{done.stderr}")
    return time.monotonic() - began


def _bare_commands(host: LabHost) -> str:
    """A program for a shell that starts as many containers of the same images and limits, which only sleep."""
    with closing(docker.DockerClient(base_url=host.engine_url)) as client:
        found = client.api.containers(all=True, filters=run_filter(RUN, KIND_DEVICE))
        devices = [client.api.inspect_container(item["Id"]) for item in found]
    return "set -e\n" + "\n".join(f"{shlex.join(_bare_command(device))} >/dev/null" for device in devices)


def _bare_command(device: Mapping[str, Any]) -> list[str]:
    limits = device["HostConfig"]
    cpus = limits["CpuQuota"] / limits["CpuPeriod"] if limits["CpuQuota"] > 0 else limits["NanoCpus"] / 1e9
    return [
        *("docker", "run", "-d", "--label", BARE, "--network", "none", "--entrypoint", "sleep"),
        *(
            "--cpus",
            f"{max(cpus, 0.01):g}",
            "--memory",
            str(limits["Memory"]),
            "--pids-limit",
            str(limits["PidsLimit"]),
        ),
        *(device["Config"]["Image"], "infinity"),
    ]


def _timed(host: LabHost, program: str) -> float:
    began = time.monotonic()
    host.console("sh", "-c", program, timeout_s=BARE_TIMEOUT_S)
    return time.monotonic() - began
