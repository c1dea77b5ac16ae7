"""docker-compose with containers that only sleep, and that have the same images and limits as the devices of a run.

The baseline of the provisioning benchmark: what others built to bring many containers up. Debian's docker-compose 1.29
hangs now and then with a hundred containers; each command has a time limit and is tried again after a clean-up.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import yaml

from fedsim_runner.contract.names import KIND_DEVICE, LABEL_DEVICE, run_filter
from fedsim_runner.contract.paths import PLAN

from .installation import user_environment

PROGRAM = "docker-compose"
PROJECT_LABEL = "com.docker.compose.project"
TRIES = 4
#: A command takes longer the more containers there are; without load 0.15 s each.
LIMIT_S = 60.0
LIMIT_S_PER_CONTAINER = 1.0


def require_compose() -> str:
    """Return the version of docker-compose.

    Raises:
        SystemExit: it is not installed.
    """
    if shutil.which(PROGRAM) is None:
        raise SystemExit(f"this benchmark compares with {PROGRAM}, which is not there: apt-get install {PROGRAM}")
    done = subprocess.run([PROGRAM, "version", "--short"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def write_compose_file(client: docker.DockerClient, run_folder: Path, run: str, folder: Path) -> int:
    """Write the project of a run that is up: a service for each device type, one container for each device.

    Returns:
        how many containers the project has.
    """
    devices: list[dict[str, Any]] = json.loads((run_folder / PLAN).read_text(encoding="utf-8"))["devices"]
    containers = {
        item["Labels"][LABEL_DEVICE]: item["Id"]
        for item in client.api.containers(all=True, filters=run_filter(run, KIND_DEVICE))
    }
    services: dict[str, Any] = {}
    for device_type, count in Counter(device["type"] for device in devices).items():
        device = next(device for device in devices if device["type"] == device_type)
        ours = client.api.inspect_container(containers[device["name"]])
        services[device_type] = {
            "image": ours["Config"]["Image"],
            "entrypoint": ["sleep", "infinity"],
            "scale": count,
            "cpus": device["cpus"],
            "mem_limit": device["memory_bytes"],
            "pids_limit": ours["HostConfig"]["PidsLimit"],
        }
    tree = {"version": "2.4", "networks": {"default": {"internal": True}}, "services": services}
    folder.mkdir()
    (folder / "docker-compose.yml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    return len(devices)


class ComposeProject:
    """A project in its folder; each call returns the seconds of wall time of the command."""

    def __init__(self, client: docker.DockerClient, folder: Path, containers: int) -> None:
        self._client = client
        self._folder = folder
        self._containers = containers
        #: Commands that were ended because they hung.
        self.hung = 0

    def up(self) -> float:
        """Create and start all containers."""
        return self._retry(lambda: self._call("up", "-d"))

    def up_again(self) -> float:
        """Ask for what is already there."""
        return self._retry(lambda: self._call("up", "-d"), cleaning=False)

    def down(self) -> float:
        """Remove containers and network."""
        return self._retry(lambda: self._call("down", "-t", "0"), cleaning=False)

    def remove(self) -> None:
        """Remove what a command that hung has left, without docker-compose."""
        filters = {"label": f"{PROJECT_LABEL}={self._folder.name}"}
        for item in self._client.api.containers(all=True, filters=filters):
            self._client.api.remove_container(item["Id"], force=True, v=True)
        for network in self._client.api.networks(filters=filters):
            self._client.api.remove_network(network["Id"])

    def _retry(self, command: Callable[[], float | None], cleaning: bool = True) -> float:
        for _ in range(TRIES):
            seconds = command()
            if seconds is not None:
                return seconds
            self.hung += 1
            if cleaning:
                self.remove()
        self.remove()
        raise SystemExit(f"{PROGRAM} hung {TRIES} times in a row with {self._containers} containers")

    def _call(self, *arguments: str) -> float | None:
        """Return the seconds, or None if the command hung and was ended.

        Raises:
            SystemExit: it failed.
        """
        limit_s = LIMIT_S + LIMIT_S_PER_CONTAINER * self._containers
        started = time.monotonic()
        process = subprocess.Popen(
            [PROGRAM, *arguments],
            cwd=self._folder,
            env={**user_environment(), "COMPOSE_PROJECT_NAME": self._folder.name},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return None
        if process.returncode != 0:
            self.remove()
            raise SystemExit(f"{PROGRAM} {' '.join(arguments)} exited {process.returncode}\n{output[-4000:]}")
        return time.monotonic() - started
