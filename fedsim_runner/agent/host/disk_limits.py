"""Which devices use more of the disk than they may. Counting takes time, so a thread of its own does it.

What a device uses is counted when the disk as a whole has filled up a little, or some seconds have passed. So a course
that writes little costs one call a second, and a device that writes a lot is found within a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from fedsim_runner.contract.paths import StateFolder
from fedsim_runner.contract.units import size

from . import disk_usage
from .background import Background
from .cgroup_folders import cgroup_folders
from .fleet import Container

_GROWN = 8 << 20  # bytes by which the disk has filled since the last count
_GROWN_UNSEEN = 64 << 20  # since the last search for files without a name, which costs more
_COUNT_AGAIN_S = 5.0
_SHARE = 0.2  # of one thread's time that a device with very many files may take


class DiskLimits:
    """The use of one run's devices.

    Attributes:
        over: the devices above their limits, each with the reason to end it.
    """

    def __init__(
        self, state: StateFolder, host_root: Path = disk_usage.HOST_ROOT, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._state = state
        self._host_root = host_root
        self._clock = clock
        self._background = Background("count disk use", 1)
        self._is_counting = False
        self._counted_at = self._searched_at = -1  # how full the disk was
        self._count_by = 0.0
        self._due: dict[str, float] = {}
        self._nameless: dict[str, int] = {}
        self.over: Mapping[str, str] = {}

    def check(self, limits: Mapping[str, int], containers: Mapping[str, Container]) -> None:
        """Have it counted, if it is time to, what these devices use; call it once a second.

        Args:
            limits: bytes by device.
            containers: those that exist.
        """
        if self._is_counting:
            return
        now, filled = self._clock(), disk_usage.used_of_disk(self._state.path)
        # Others may have freed space meanwhile, and that must not hide what a device writes from now on.
        self._counted_at, self._searched_at = min(self._counted_at, filled), min(self._searched_at, filled)
        if now < self._count_by and filled < self._counted_at + _GROWN:
            return
        searching = filled >= self._searched_at + _GROWN_UNSEEN
        self._counted_at, self._count_by = filled, now + _COUNT_AGAIN_S
        self._searched_at = filled if searching else self._searched_at
        self._is_counting = True
        self._background.submit(lambda: self._count(dict(limits), dict(containers), searching))

    def close(self) -> None:
        """Count no more."""
        self._background.close()

    def _count(self, limits: Mapping[str, int], containers: Mapping[str, Container], searching: bool) -> None:
        over = {name: reason for name, reason in self.over.items() if name in limits}
        for name, most in limits.items():
            begun = self._clock()
            if begun < self._due.get(name, 0.0):
                continue
            reason = self._reason(name, most, containers.get(name), searching)
            ended = self._clock()
            self._due[name] = ended + (ended - begun) / _SHARE
            if reason is None:
                over.pop(name, None)
            else:
                over[name] = reason
        self.over = over
        self._is_counting = False

    def _reason(self, name: str, most: int, container: Container | None, searching: bool) -> str | None:
        folder = self._state.outputs(name)
        try:
            used = disk_usage.measure_folder(folder, most)
        except disk_usage.TooDeepError as error:
            return f"disk: {error}, so that its use cannot be counted"
        except OSError:
            return None
        if container is not None and container.log_path:
            used += disk_usage.measure_file(self._host_root / container.log_path.lstrip("/"))
        if container is not None and container.pid and (searching or self._nameless.get(name)):
            self._nameless[name] = disk_usage.measure_nameless(_processes(container), folder)
        elif container is None or not container.pid:
            self._nameless.pop(name, None)
        used += self._nameless.get(name, 0)
        return None if used <= most else f"disk: its files take more than its limit of {size(most)} (disk_mb)"


def _processes(container: Container) -> list[int]:
    """The processes of a container."""
    for folder in cgroup_folders(container.pid, container.id).values():
        try:
            return [int(line) for line in (folder / "cgroup.procs").read_text().split()]
        except (OSError, ValueError):
            continue
    return [container.pid]
