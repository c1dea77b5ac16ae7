"""Where a container's cgroup files are on the lab host: cgroup v1, v2 and both, and Docker's two cgroup drivers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

# The agent's container has the host's cgroups mounted here instead of its own.
MOUNTS = (Path("/sys/fs/cgroup"),)
#: Under this name :func:`cgroup_folders` returns the v2 folder.
V2 = ""


def cgroup_folders(pid: int, container: str, mounts: Iterable[Path] = MOUNTS) -> dict[str, Path]:
    """The container's cgroup folder by v1 controller; under :data:`V2` its v2 folder, if memory is accounted there.

    Args:
        pid: a process in the container; if it is gone, nothing is found.
        container: the container's id; empty: unknown.
        mounts: where the lab host's cgroups are mounted.
    """
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return {}
    bases = tuple(mounts)
    found: dict[str, Path] = {}
    for line in lines:
        _, controllers, path = line.split(":", 2)
        for mount in bases:
            for controller in controllers.split(","):
                base = mount / controller if controller else mount
                for folder in (base / path.lstrip("/"), *_likely_folders(base, container)):
                    probe = "cpuacct.usage" if controller == "cpuacct" else "cgroup.procs"
                    probe = "memory.current" if controller == V2 else probe
                    if controller not in found and (".." not in folder.parts) and _exists(folder / probe):
                        found[controller] = folder
    return found


def _exists(path: Path) -> bool:
    """``Path.exists`` for paths through another process's root, which some kernels let nobody read."""
    try:
        return path.exists()
    except OSError:
        return False


def _likely_folders(base: Path, container: str) -> list[Path]:
    """Where Docker's two cgroup drivers put a container, in case the reader's own cgroup namespace hides the path."""
    return [base / "docker" / container, base / "system.slice" / f"docker-{container}.scope"] if container else []
