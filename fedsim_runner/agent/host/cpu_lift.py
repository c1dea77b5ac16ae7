"""Changing the CPU limits of containers, and lifting them for a while, through their cgroup files on the lab host.

The Engine's record of a container stays as it is: it is still the requested limit, which a restarted container gets
again. An update call to the Engine for each device would cost more than some engines take to load.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fedsim_runner.contract.cpu_limit import LEAST_QUOTA_US, CpuLimit

from .cgroup_folders import MOUNTS, V2, cgroup_folders

# Weights against other containers where cores are short: a device that loads must not slow another run's course.
_V1_WEIGHTS = ("128", "1024")
_V2_WEIGHTS = ("5", "39")


@dataclass(frozen=True)
class _Files:
    """A container's limit and weight; ``none``: the limit's text where there is none."""

    limit: Path
    none: str
    weight: Path
    weights: tuple[str, str]  # while it loads, and otherwise


class CpuLift:
    """Lifts and restores limits, by device.

    Args:
        cpus: the limits in cores; a device that is missing has none.
        mounts: where the lab host's cgroups are mounted.
    """

    def __init__(self, cpus: Mapping[str, float], mounts: Iterable[Path] = MOUNTS) -> None:
        self._cpus = cpus
        self._mounts = tuple(mounts)
        self._before: dict[str, str] = {}  # the limits that are lifted

    def lift(self, device: str, pid: int, container: str) -> str | None:
        """Lift the limit of a running container; return why it is still in force, None if it is not."""
        if device not in self._cpus:
            return None
        files = self._files(pid, container)
        if files is None:
            return "its cgroup was not found"
        try:
            before = files.limit.read_text().strip()
            files.limit.write_text(files.none)
        except OSError as error:
            return f"{files.limit}: {error.strerror}"
        self._before[device] = self._limit(files, self._cpus[device]) if before.startswith(files.none) else before
        with contextlib.suppress(OSError):  # only other runs are better off with it
            files.weight.write_text(files.weights[0])
        return None

    def restore(self, device: str, pid: int, container: str) -> str | None:
        """Put a container's limit back in force; return why it is not, None if it is or the container has ended.

        What was in force before :meth:`lift` is written and read back. If it was not lifted here, but perhaps by an
        agent before this one, that is what the device's type says.
        """
        if device not in self._cpus:
            return None
        files = self._files(pid, container)
        lifted = self._before.pop(device, None)
        if files is None:
            return "its cgroup was not found" if lifted is not None and _is_alive(pid) else None
        try:
            limit = lifted or self._limit(files, self._cpus[device])
            if files.limit.read_text().strip() == limit:
                return None
            files.limit.write_text(limit)
            with contextlib.suppress(OSError):
                files.weight.write_text(files.weights[1])
            found = files.limit.read_text().strip()
        except OSError as error:
            return f"{files.limit}: {error.strerror}" if _is_alive(pid) else None
        return None if found == limit else f"{files.limit} has {found}, not {limit}"

    def change(self, pid: int, container: str, limit: CpuLimit) -> bool:
        """Give a running container another limit; return whether it had not got it yet.

        Raises:
            OSError: the limit stays as it was, and the container runs.
        """
        files = self._files(pid, container)
        if files is None:
            if _is_alive(pid):
                raise FileNotFoundError(errno.ENOENT, "not found", "its cgroup")
            return False
        try:
            if files.none == "max":
                return _write(files.limit, f"{limit.quota_us} {limit.period_us}")
            new_period = _write(files.limit.with_name("cpu.cfs_period_us"), str(limit.period_us))
            return _write(files.limit, str(limit.quota_us)) or new_period
        except OSError:
            if _is_alive(pid):
                raise
            return False

    def _files(self, pid: int, container: str) -> _Files | None:
        folders = cgroup_folders(pid, container, self._mounts)
        # Never the limit of more than this container, wherever its process may have been moved to.
        own = {name: folder for name, folder in folders.items() if container and container in folder.name}
        if V2 in own:
            return _Files(own[V2] / "cpu.max", "max", own[V2] / "cpu.weight", _V2_WEIGHTS)
        if "cpu" in own:
            return _Files(own["cpu"] / "cpu.cfs_quota_us", "-1", own["cpu"] / "cpu.shares", _V1_WEIGHTS)
        return None

    @staticmethod
    def _limit(files: _Files, cpus: float) -> str:
        """The limit as the file has it, in the period that is in force."""
        if files.none == "max":
            period = int(files.limit.read_text().split()[1])
            return f"{max(LEAST_QUOTA_US, round(cpus * period))} {period}"
        period = int(files.limit.with_name("cpu.cfs_period_us").read_text())
        return str(max(LEAST_QUOTA_US, round(cpus * period)))


def _write(path: Path, text: str) -> bool:
    """Write a file; return whether it had another content."""
    if path.read_text().strip() == text:
        return False
    path.write_text(text)
    return True


def _is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
