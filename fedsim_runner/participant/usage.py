"""What a participant has used, read in its own container: the agent's last sample may be a second old."""

from __future__ import annotations

import resource
from pathlib import Path

from ..contract.link import INTERFACE

# cgroup v1 and v2 as a container sees them; memory.peak came with Linux 5.19.
MEMORY_PEAK = (
    Path("/sys/fs/cgroup/memory/memory.max_usage_in_bytes"),
    Path("/sys/fs/cgroup/memory.peak"),
)


def interface_bytes(path: Path = Path("/proc/net/dev")) -> tuple[int | None, int | None]:
    """Bytes received and sent on eth0 so far; None without such an interface."""
    for line in path.read_text(encoding="utf-8").splitlines():
        name, _, counters = line.partition(":")
        if name.strip() == INTERFACE:
            fields = counters.split()
            return int(fields[0]), int(fields[8])
    return None, None


def memory_peak_bytes(in_container: bool) -> int | None:
    """Peak memory of the container's cgroup, page cache included; without a container, that of the process."""
    if not in_container:
        # Not ru_maxrss: a process inherits it from its parent.
        return _status_bytes("VmHWM")
    for path in MEMORY_PEAK:
        if path.is_file():
            return int(path.read_text(encoding="utf-8"))
    return None


def _status_bytes(field: str) -> int | None:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return None


def cpu_seconds() -> float:
    """User and system time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
