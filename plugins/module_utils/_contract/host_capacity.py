"""The capacity of a lab host and its networks: as seen by the machine this runs on, and by its Docker Engine.

Where an Engine answers, its figures count: Docker Desktop's runs in a virtual machine of its own.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

#: Names of processor architectures: the kernel's and the Engine's name, and the one that images use.
ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_NO_DESTINATION = ("local", "broadcast", "multicast")


@dataclass(frozen=True)
class HostCapacity:
    """``networks``: IPv4 networks in use there, in order. ``gpus``: how many the Engine can give to containers.
    ``memory_free_bytes``: what new processes can have now without swapping; ``tasks``: processes and threads that the
    kernel allows. 0: unknown.
    """

    cpus: int
    memory_bytes: int
    arch: str
    networks: tuple[str, ...] = ()
    gpus: int = 0
    memory_free_bytes: int = 0
    tasks: int = 0

    def with_engine_figures(self, info: Mapping[str, Any], networks: Iterable[Mapping[str, Any]]) -> HostCapacity:
        """Return the same with the Engine's figures.

        Args:
            info: its answer to ``/info``.
            networks: its answer to ``/networks``.
        """
        nvidia = "nvidia" in (info.get("Runtimes") or {})
        same_machine = info.get("KernelVersion") == platform.release()
        return replace(
            self,
            memory_free_bytes=self.memory_free_bytes if same_machine else 0,
            tasks=self.tasks if same_machine else 0,
            cpus=int(info["NCPU"]),
            memory_bytes=int(info["MemTotal"]),
            arch=architecture(str(info["Architecture"])),
            networks=_ordered([*self.networks, *_subnets(networks)]),
            gpus=len(list(Path("/dev").glob("nvidia[0-9]*"))) if nvidia else 0,
        )


def measure_this_machine() -> HostCapacity:
    """Return the capacity of this machine, without asking an Engine."""
    return HostCapacity(
        cpus=len(os.sched_getaffinity(0)),
        memory_bytes=memory_of_this_machine(),
        arch=architecture(platform.machine()),
        networks=_ordered(_routed_networks()),
        memory_free_bytes=_free_memory(),
        tasks=_most_tasks(),
    )


def _free_memory() -> int:
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return 0
    found = re.search(r"^MemAvailable:\s*(\d+) kB$", text, re.MULTILINE)
    return 0 if found is None else int(found.group(1)) * 1024


def _most_tasks() -> int:
    """Return how many processes and threads the kernel allows at once; 0 if it does not say."""
    limits = []
    for name in ("pid_max", "threads-max"):
        with contextlib.suppress(OSError, ValueError):
            limits.append(int(Path(f"/proc/sys/kernel/{name}").read_text(encoding="ascii")))
    return min(limits, default=0)


def memory_of_this_machine() -> int:
    """Return the bytes of memory that this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def architecture(machine: str) -> str:
    """Return the name that images use for a processor architecture."""
    return ARCHITECTURES.get(machine, machine)


def _routed_networks() -> list[str]:
    """Return the IPv4 networks that this machine has a route to, in any table; none if iproute2 is not installed."""
    command = ["ip", "-json", "-4", "route", "show", "table", "all"]
    try:
        answer = subprocess.run(command, capture_output=True, check=True, text=True, timeout=10)
        routes = json.loads(answer.stdout or "[]")
    except (OSError, ValueError, subprocess.SubprocessError):
        return []
    found = [str(route.get("dst", "default")) for route in routes if route.get("type") not in _NO_DESTINATION]
    return [network for destination in found if destination != "default" and (network := _network(destination))]


def _subnets(networks: Iterable[Mapping[str, Any]]) -> list[str]:
    pools = [pool for network in networks for pool in (network.get("IPAM") or {}).get("Config") or []]
    return [network for pool in pools if (network := _network(str(pool.get("Subnet", ""))))]


def _network(text: str) -> str | None:
    """Return the text as an IPv4 network, or None if it is something else."""
    try:
        return str(ipaddress.IPv4Network(text, strict=False))
    except ValueError:
        return None


def _ordered(networks: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(networks), key=ipaddress.IPv4Network))
