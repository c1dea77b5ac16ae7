"""One line per device and second: memory, CPU time and bytes, read from files that stay open between samples.

The file of a run that stays up for days would fill the disk, so the larger it is, the rarer its lines are: each 32 MB
double the seconds from one to the next.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fedsim_runner.contract.atomic import AppendFile

from .cgroup_folders import MOUNTS, cgroup_folders
from .device_usage import Reading

HEADER = (
    "t,device,memory_bytes,memory_peak_bytes,cpu_seconds,throttled_seconds,oom_kills,"
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
    network: list[int] = field(default_factory=list)  # as last read
    left_out: list[int] = field(default_factory=list)  # of its network: what was sent to measure its link
    held: bool = False  # what passes now is left out


class Sampler:
    """Appends to ``metrics.csv``; ``watch`` assigns a process to a device.

    Args:
        path: the file.
        counters: extracts the link's columns from the text of a ``/proc/<pid>/net/dev``; None without a link.
        mounts: where the lab host's cgroups are mounted.
    """

    def __init__(
        self, path: Path, counters: Callable[[str], list[str] | None], mounts: Iterable[Path] = MOUNTS
    ) -> None:
        """Open the file.

        Raises:
            CannotWriteError: it cannot be created.
        """
        self._counters = counters
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
        for name in devices:
            if (entry := self._devices.get(name)) is not None and (found := self._read_network(entry)) is not None:
                entry.network, entry.held = _less(found, entry.left_out), True

    def count_again(self, devices: Iterable[str]) -> None:
        """Count what passes from now on."""
        for name in devices:
            if (entry := self._devices.get(name)) is not None and entry.held:
                entry.held = False
                if (found := self._read_network(entry)) is not None:
                    entry.left_out = _less(found, entry.network)

    def _read_network(self, entry: _Device) -> list[int] | None:
        descriptor = entry.files.get("net")
        try:
            text = b"" if descriptor is None else os.pread(descriptor, _LONGEST, 0)
        except OSError:
            return None
        found = self._counters(text.decode())
        return None if found is None else [int(one) for one in found]

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
                if entry.held:
                    network = [str(one) for one in entry.network]
                elif entry.left_out:
                    network = [str(one) for one in _less([int(one) for one in network], entry.left_out)]
                readings[name], line = _parse(entry, texts, network)
                self._lines.append(f",{name},{line},{','.join(network)}\n")
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


def _less(counters: list[int], left_out: list[int]) -> list[int]:
    return [max(0, one - other) for one, other in zip(counters, left_out, strict=True)] if left_out else counters


def _parse(entry: _Device, texts: Mapping[str, bytes], network: list[str]) -> tuple[Reading, str]:
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
    reading = Reading(memory, seconds, throttled, kills, int(network[0]), int(network[3]))
    shown = "" if memory is None else memory
    return reading, f"{shown},{entry.peak or ''},{seconds:.3f},{throttled:.3f},{kills}"


def _counter(text: bytes, name: bytes) -> int:
    """The number after a name (with its space), which no other name of these files ends with; 0 if it is missing."""
    start = text.find(name)
    if start < 0:
        return 0
    number = text[start + len(name) :].split(b"\n", 1)[0]
    return int(number) if number.isdigit() else 0
