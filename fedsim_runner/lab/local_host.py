"""The control node as its own lab host, as far as it can be known without changing anything."""

from __future__ import annotations

import ipaddress
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException

from .host import LabHost

ARCH = {"x86_64": "amd64", "aarch64": "arm64", "amd64": "amd64", "arm64": "arm64"}


def local_lab_host(name: str = "local") -> LabHost:
    """Read the capacity and the networks of the lab host that this machine's Docker Engine is.

    With an Engine that answers, its own figures count (Docker Desktop's Engine lives in another VM than the shell);
    without one those of this machine: the Engine will be installed on it.
    """
    networks = set(_routed_networks())
    cpus = float(len(os.sched_getaffinity(0)))
    memory_bytes = _memory_bytes()
    machine = platform.machine()
    gpus = 0
    try:
        client = docker.from_env(timeout=10)
        try:
            info = client.info()
            networks.update(_docker_networks(client))
        finally:
            client.close()
    except (DockerException, OSError):
        info = {}
    if info:
        cpus = float(info["NCPU"])
        memory_bytes = int(info["MemTotal"])
        machine = str(info["Architecture"])
        if "nvidia" in info.get("Runtimes", {}):
            gpus = len(list(Path("/dev").glob("nvidia[0-9]*")))
    ordered = sorted(networks, key=ipaddress.IPv4Network)
    return LabHost(
        name=name,
        cpus=cpus,
        memory_bytes=memory_bytes,
        arch=ARCH.get(machine, machine),
        networks=tuple(ordered),
        gpus=gpus,
    )


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _routed_networks() -> list[str]:
    """IPv4 networks this machine has a route to. Empty where iproute2 is not installed yet."""
    try:
        answer = subprocess.run(
            ["ip", "-json", "-4", "route", "show"],
            capture_output=True,
            check=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    networks = []
    for route in json.loads(answer.stdout or "[]"):
        destination = str(route.get("dst", "default"))
        if destination != "default":
            networks.append(str(ipaddress.IPv4Network(destination, strict=False)))
    return networks


def _docker_networks(client: Any) -> list[str]:
    return [
        str(ipaddress.IPv4Network(pool["Subnet"], strict=False))
        for network in client.api.networks()
        for pool in (network.get("IPAM", {}).get("Config") or [])
        if ":" not in pool.get("Subnet", ":")
    ]
