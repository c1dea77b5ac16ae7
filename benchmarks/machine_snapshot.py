"""What is on the machine that a run could leave behind."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

import docker
import psutil

from fedsim_runner.contract.paths import STATE_ROOT

#: Names by kind.
Snapshot = Mapping[str, frozenset[str]]
#: A process is the Engine's or the testbed's if its command line has one of these words.
PROCESS_WORDS = ("containerd-shim", "runc", "docker-init", "fedsim", "ansible")


def take_snapshot(client: docker.DockerClient) -> Snapshot:
    """Return what is there now; needs root to see all of it."""
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    return {
        "containers": frozenset(item["Id"] + " " + ",".join(item["Names"]) for item in client.api.containers(all=True)),
        "networks of the Engine": frozenset(item["Id"] + " " + item["Name"] for item in client.api.networks()),
        "volumes": frozenset(item["Name"] for item in client.api.volumes()["Volumes"] or []),
        "network interfaces": frozenset(path.name for path in Path("/sys/class/net").iterdir()),
        "network namespaces": _network_namespaces(mounts),
        "mounts": frozenset(line.split()[4] for line in mounts),
        "state folders": frozenset(path.name for path in STATE_ROOT.iterdir()) if STATE_ROOT.exists() else frozenset(),
        "cgroups of containers": _cgroups(),
        "processes": _processes(),
    }


def _network_namespaces(mounts: list[str]) -> frozenset[str]:
    """Return those in which a process is, and those that a mount keeps (the Engine's, `ip netns`)."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/ns/net"):
        with contextlib.suppress(OSError):
            found.add(str(path.readlink()))
    # mountinfo names the root of a namespace's mount: net:[4026532008].
    found |= {line.split()[3] for line in mounts if line.split()[3].startswith("net:[")}
    return frozenset(found)


def _cgroups() -> frozenset[str]:
    """Return the Engine's folders of containers, in all hierarchies, with either of its drivers."""
    root = Path("/sys/fs/cgroup")
    patterns = ("docker/*", "*/docker/*", "system.slice/docker-*.scope", "*/system.slice/docker-*.scope")
    return frozenset(
        str(path.relative_to(root)) for pattern in patterns for path in root.glob(pattern) if path.is_dir()
    )


def _processes() -> frozenset[str]:
    found = set()
    own = {process.pid for process in [psutil.Process(), *psutil.Process().parents()]}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess):
            line = " ".join(process.cmdline())
            if process.pid not in own and any(word in line for word in PROCESS_WORDS):
                found.add(f"{process.pid} {line}")
    return frozenset(found)
