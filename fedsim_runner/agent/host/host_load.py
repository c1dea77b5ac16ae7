"""One line per second about the lab host itself: what it runs besides, or lacks, shows in the devices' times.

The file of a run that stays up for days would fill the disk, so it gets rarer lines as that of the devices does.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from fedsim_runner.contract.atomic import AppendFile

from .cgroup_folders import V2, cgroup_folders
from .samples import PART_BYTES, SLACK_S

# t: Unix seconds. load: the kernel's load of the last minute. running: threads that run or want to, now. The seconds
# are those of all processors together since the host's start; stolen ones went to other machines of its hypervisor.
# agent_seconds: of the agent's container, which holds packets as well; empty: not known.
HEADER = "t,cpus,load,running,busy_seconds,steal_seconds,agent_seconds"
PROC = Path("/proc")
_CONTAINER = re.compile(r"[0-9a-f]{64}")
_LONGEST = 4096  # of a file: what is needed stands on the first line
_USER, _NICE, _SYSTEM, _IRQ, _SOFTIRQ, _STEAL = 0, 1, 2, 5, 6, 7


class HostLoad:
    """Appends to ``host.csv``."""

    def __init__(self, path: Path, proc: Path = PROC) -> None:
        """Open the file.

        Args:
            path: the file.
            proc: where the kernel's own figures are.

        Raises:
            CannotWriteError: it cannot be created.
        """
        self._proc = proc
        self._cpus = os.sysconf("SC_NPROCESSORS_ONLN")
        self._per_second = os.sysconf("SC_CLK_TCK")
        self._own_usage = _own_usage()
        self._next_write = 0.0
        fresh = not path.exists()
        self._output = AppendFile(path)
        if fresh:
            self._output.append(f"{HEADER}\n".encode())

    def write(self, now: float) -> None:
        """Write one line, unless it is too early or the kernel gives no figures.

        Raises:
            CannotWriteError: the line is not in the file.
        """
        if now < self._next_write:
            return
        line = self._line(now)
        if line is not None:
            written = self._output.append(line.encode())
            self._next_write = now + (1 << written // PART_BYTES) - SLACK_S

    def close(self) -> None:
        """Close the file."""
        self._output.close()

    def _line(self, now: float) -> str | None:
        try:
            load = _first_line(self._proc / "loadavg").split()
            times = [int(text) for text in _first_line(self._proc / "stat").split()[1:]]
            busy = sum(times[index] for index in (_USER, _NICE, _SYSTEM, _IRQ, _SOFTIRQ))
            running = int(load[3].partition("/")[0])
            seconds = f"{busy / self._per_second:.2f},{times[_STEAL] / self._per_second:.2f}"
            return f"{now:.3f},{self._cpus},{float(load[0]):.2f},{running},{seconds},{self._own_seconds()}\n"
        except (OSError, ValueError, IndexError):
            return None

    def _own_seconds(self) -> str:
        if self._own_usage is None:
            return ""
        try:
            line = _first_line(self._own_usage)
            return f"{int(line.removeprefix('usage_usec ')) / (1e6 if line.startswith('usage_usec ') else 1e9):.3f}"
        except (OSError, ValueError):
            return ""


def _own_usage() -> Path | None:
    """The file that begins with what this container has used of the processors; None: this is not in a container."""
    folders = cgroup_folders(os.getpid(), "")
    for controller, file in ((V2, "cpu.stat"), ("cpuacct", "cpuacct.usage")):
        if controller in folders and _CONTAINER.search(folders[controller].name):
            return folders[controller] / file
    return None


def _first_line(path: Path) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, _LONGEST).decode("ascii", "replace").partition("\n")[0]
    finally:
        os.close(descriptor)
