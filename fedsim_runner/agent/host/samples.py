"""One line per device and second: memory, CPU time and bytes, read from files that stay open between samples."""

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
        self._lines: list[tuple[str, list[str]]] = []
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

    def read(self) -> dict[str, Reading]:
        """Sample each watched device, for :meth:`write`."""
        self._lines = []
        readings: dict[str, Reading] = {}
        for name, entry in self._devices.items():
            values = self._values(entry)
            if values is not None:
                self._lines.append((name, values))
                readings[name] = _reading(values)
        return readings

    def write(self, now: float) -> None:
        """Write one line for each device of the last :meth:`read`.

        Raises:
            CannotWriteError: the lines are not in the file.
        """
        if self._lines:
            lines = (f"{now:.3f},{name},{','.join(values)}\n" for name, values in self._lines)
            self._output.append("".join(lines).encode())

    def close(self) -> None:
        for name in list(self._devices):
            self.forget(name)
        self._output.close()

    def _values(self, entry: _Device) -> list[str] | None:
        try:
            text = {key: os.pread(descriptor, 8192, 0).decode() for key, descriptor in entry.files.items()}
        except OSError:
            return None  # the container ended before Docker reported it
        network = self._counters(text.get("net", ""))
        if network is None:
            return None
        memory = text.get("memory", "").strip()
        entry.peak = max(entry.peak, int(text.get("peak", "").strip() or memory or 0))
        cpu, oom = _parse_counters(text.get("cpu", "")), _parse_counters(text.get("oom", ""))
        if entry.v2:
            seconds, throttled = cpu.get("usage_usec", 0) / 1e6, cpu.get("throttled_usec", 0) / 1e6
        else:
            seconds, throttled = int(text.get("usage", "").strip() or 0) / 1e9, cpu.get("throttled_time", 0) / 1e9
        peak = str(entry.peak) if entry.peak else ""
        return [memory, peak, f"{seconds:.3f}", f"{throttled:.3f}", str(oom.get("oom_kill", 0)), *network]


def _reading(values: list[str]) -> Reading:
    memory, _, cpu, throttled, oom_kills, received, _, _, sent, *_ = values
    return Reading(
        int(memory) if memory else None, float(cpu), float(throttled), int(oom_kills), int(received), int(sent)
    )


def _parse_counters(text: str) -> Mapping[str, int]:
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
