"""Processor time of process trees and containers, including that of processes which have ended in between.

A tree's time is that of its processes plus that of the children each has waited for, which the kernel adds up (proc(5):
cutime, cstime). So a module that Ansible starts and that ends within a second is counted. A container's time is that of
its cgroup, so it includes what `docker exec` started there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

import docker
import psutil

#: The Engine's own processes; a container's shim has one process for each container.
ENGINE_PROGRAMS = ("dockerd", "containerd", "containerd-shim")


def tree_seconds(root: int) -> float:
    """Return the processor seconds of a process and all its descendants so far."""
    try:
        process = psutil.Process(root)
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    return _total(family)


def program_seconds(names: Iterable[str] = ENGINE_PROGRAMS) -> float:
    """Return the processor seconds so far of all processes with these names, and of the children they waited for."""
    # The kernel keeps 15 characters of a name: containerd-shim-runc-v2 is containerd-shim.
    wanted = {name[:15] for name in names}
    return _total(process for process in psutil.process_iter(["name"]) if str(process.info["name"])[:15] in wanted)


def contained_seconds(client: docker.DockerClient, container: str, words: str) -> float:
    """Return the processor seconds so far of the processes in a container whose command lines contain ``words``."""
    listed: Any = client.api.top(container)
    pid, command = listed["Titles"].index("PID"), listed["Titles"].index("CMD")
    found = 0.0
    for line in listed["Processes"]:
        if words in line[command]:
            with contextlib.suppress(psutil.NoSuchProcess):
                times = psutil.Process(int(line[pid])).cpu_times()
                found += times.user + times.system
    return found


def container_seconds(client: docker.DockerClient, container: str) -> float:
    """Return the processor seconds so far of a container, as the Engine accounts them."""
    stats: Any = client.api.stats(container, stream=False, one_shot=True)
    return float(stats["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9


def _total(processes: Iterable[psutil.Process]) -> float:
    found = 0.0
    for process in processes:
        # One that ends while this loop runs is counted next time, by its parent.
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            found += times.user + times.system + times.children_user + times.children_system
    return found
