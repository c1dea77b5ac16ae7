"""One line per device and second: memory, CPU time and bytes, read from files that stay open between samples.

The file of a run that stays up for days would fill the disk, so the larger it is, the rarer its lines are: each 32 MB
double the seconds from one to the next.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fedsim_runner.contract.atomic import AppendFile

from .cgroup_folders import MOUNTS, cgroup_folders
from .device_usage import Reading
from .left_out import LeftOut

HEADER = (
    "t,device,memory_bytes,memory_peak_bytes,cpu_seconds,throttled_seconds,periods,throttled_periods,oom_kills,"
    "rx_bytes,rx_packets,rx_dropped,tx_bytes,tx_packets,tx_dropped"
)


PART_BYTES = 32 << 20
SLACK_S = 0.5  # samples are a second apart, but not to the millisecond
_LONGEST = 8192  # of a file


@dataclass
class _Device:
    pid: int
    files: dict[str, int] = field(default_factory=dict)
    v2: bool = False
    peak: int = 0  # if the kernel keeps none: the largest sample


class Sampler:
    """Appends to ``metrics.csv``; ``watch`` assigns a process to a device.

    Args:
        path: the file.
        left_out: what of the link's counters does not count.
        counters: extracts the link's columns from the text of a ``/proc/<pid>/net/dev``; None without a link.
        mounts: where the lab host's cgroups are mounted.
    """

    def __init__(
        self,
        path: Path,
        left_out: LeftOut,
        counters: Callable[[str], list[str] | None],
        mounts: Iterable[Path] = MOUNTS,
    ) -> None:
        """Open the file.

        Raises:
            CannotWriteError: it cannot be created.
        """
        self._counters = counters
        self._left_out = left_out
        self._devices: dict[str, _Device] = {}
        self._lines: list[str] = []
        self._next_write = 0.0
        self._mounts = tuple(mounts)
        fresh = not path.exists()
        self._output = AppendFile(path)
        if fresh:
            self._output.append(f"{HEADER}\n".encode())

    def watch(self, device: str, pid: int, container: str) -> None:
        """Sample this process's cgroup and interface from now on."""
        if (known := self._devices.get(device)) is not None:
            if known.pid == pid:
                return
            self.forget(device)
        entry = _Device(pid)
        folders = cgroup_folders(pid, container, self._mounts)
        entry.v2 = "" in folders
        files = (
            {
                "memory": ("", "memory.current"),
                "peak": ("", "memory.peak"),
                "cpu": ("", "cpu.stat"),
                "oom": ("", "memory.events"),
            }
            if entry.v2
            else {
                "memory": ("memory", "memory.usage_in_bytes"),
                "peak": ("memory", "memory.max_usage_in_bytes"),
                "usage": ("cpuacct", "cpuacct.usage"),
                "cpu": ("cpu", "cpu.stat"),
                "oom": ("memory", "memory.oom_control"),
            }
        )
        paths = {key: folders[name] / file for key, (name, file) in files.items() if name in folders}
        paths["net"] = Path(f"/proc/{pid}/net/dev")
        for key, path in paths.items():
            with contextlib.suppress(OSError):  # memory.peak came with Linux 5.19
                entry.files[key] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._devices[device] = entry

    def forget(self, device: str) -> None:
        """Stop sampling a device whose container has ended."""
        entry = self._devices.pop(device, None)
        if entry is not None:
            for descriptor in entry.files.values():
                os.close(descriptor)

    def leave_out(self, devices: Iterable[str]) -> None:
        """Leave what passes these devices' interfaces from now on out of the samples: it measures their links."""
        self._left_out.begin(self._read_networks(devices))

    def count_again(self, devices: Iterable[str]) -> None:
        """Count what passes from now on."""
        self._left_out.end(self._read_networks(devices))

    def _read_networks(self, devices: Iterable[str]) -> dict[str, tuple[int, list[int]]]:
        """The process of each watched device that has a link, and the link's counters."""
        found: dict[str, tuple[int, list[int]]] = {}
        for name in devices:
            entry = self._devices.get(name)
            descriptor = None if entry is None else entry.files.get("net")
            if entry is None or descriptor is None:
                continue
            with contextlib.suppress(OSError):  # the container has ended
                network = self._counters(os.pread(descriptor, _LONGEST, 0).decode())
                if network is not None:
                    found[name] = entry.pid, [int(one) for one in network]
        return found

    def read(self) -> dict[str, Reading]:
        """Sample each watched device, for :meth:`write`."""
        self._lines = []
        readings: dict[str, Reading] = {}
        for name, entry in self._devices.items():
            try:
                texts = {key: os.pread(descriptor, _LONGEST, 0) for key, descriptor in entry.files.items()}
            except OSError:
                continue  # the container ended before Docker reported it
            network = self._counters(texts.pop("net", b"").decode())
            if network is not None:
                counted = self._left_out.counted(name, entry.pid, [int(one) for one in network])
                readings[name], line = _parse(entry, texts, counted)
                self._lines.append(f",{name},{line},{','.join(map(str, counted))}\n")
        return readings

    def write(self, now: float) -> None:
        """Write one line for each device of the last :meth:`read`, unless the file is so large that it is too early.

        Raises:
            CannotWriteError: the lines are not in the file.
        """
        if self._lines and now >= self._next_write:
            moment = f"{now:.3f}"
            written = self._output.append("".join([moment + line for line in self._lines]).encode())
            self._next_write = now + (1 << written // PART_BYTES) - SLACK_S

    def close(self) -> None:
        for name in list(self._devices):
            self.forget(name)
        self._output.close()


def _parse(entry: _Device, texts: Mapping[str, bytes], network: Sequence[int]) -> tuple[Reading, str]:
    """A reading, and its columns before those of the network."""
    text = texts.get("memory", b"").strip()
    memory = int(text) if text else None
    entry.peak = max(entry.peak, int(texts.get("peak", b"").strip() or memory or 0))
    cpu = texts.get("cpu", b"")
    if entry.v2:
        seconds, throttled = _counter(cpu, b"usage_usec ") / 1e6, _counter(cpu, b"throttled_usec ") / 1e6
    else:
        seconds, throttled = int(texts.get("usage", b"").strip() or 0) / 1e9, _counter(cpu, b"throttled_time ") / 1e9
    kills = _counter(texts.get("oom", b""), b"oom_kill ")
    reading = Reading(memory, seconds, throttled, kills, network[0], network[3])
    shown = "" if memory is None else memory
    periods = f"{_counter(cpu, b'nr_periods ')},{_counter(cpu, b'nr_throttled ')}"
    return reading, f"{shown},{entry.peak or ''},{seconds:.3f},{throttled:.3f},{periods},{kills}"


def _counter(text: bytes, name: bytes) -> int:
    """The number after a name (with its space), which no other name of these files ends with; 0 if it is missing."""
    start = text.find(name)
    if start < 0:
        return 0
    number = text[start + len(name) :].split(b"\n", 1)[0]
    return int(number) if number.isdigit() else 0
