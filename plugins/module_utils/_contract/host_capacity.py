"""The capacity of a lab host: as seen by the machine this runs on, and by its Docker Engine.

Where an Engine answers, its figures count: Docker Desktop's runs in a virtual machine of its own.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from .emulation import emulated_architectures

#: Names of processor architectures: the kernel's and the Engine's name, and the one that images use.
ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class HostCapacity:
    """``gpu_ids``: numbers of those that the Engine can give to containers.

    ``memory_free_bytes``: what new processes can have now without swapping; ``tasks``: processes and threads that the
    kernel allows. 0: unknown.

    ``emulates``: other architectures whose programs the kernel runs; None: unknown. ``processor``: its model; empty:
    unknown.
    """

    cpus: int
    memory_bytes: int
    arch: str
    gpu_ids: tuple[str, ...] = ()
    memory_free_bytes: int = 0
    tasks: int = 0
    emulates: tuple[str, ...] | None = None
    processor: str = ""

    def with_engine_figures(self, info: Mapping[str, Any]) -> HostCapacity:
        """Return the same with the Engine's figures; ``info`` is its answer to ``/info``."""
        nvidia = "nvidia" in (info.get("Runtimes") or {})
        same_machine = info.get("KernelVersion") == platform.release()
        return replace(
            self,
            memory_free_bytes=self.memory_free_bytes if same_machine else 0,
            tasks=self.tasks if same_machine else 0,
            emulates=self.emulates if same_machine else None,
            cpus=int(info["NCPU"]),
            memory_bytes=int(info["MemTotal"]),
            arch=architecture(str(info["Architecture"])),
            gpu_ids=_gpu_ids() if nvidia else (),
        )


def measure_this_machine() -> HostCapacity:
    """Return the capacity of this machine, without asking an Engine."""
    return HostCapacity(
        cpus=len(os.sched_getaffinity(0)),
        memory_bytes=memory_of_this_machine(),
        arch=architecture(platform.machine()),
        memory_free_bytes=_free_memory(),
        tasks=_most_tasks(),
        emulates=emulated_architectures(),
        processor=describe_processor(_read_cpuinfo()),
    )


def describe_processor(cpuinfo: str) -> str:
    """Return the model of the first processor that the text of ``/proc/cpuinfo`` lists; empty if it names none.

    x86: its name with family, model and stepping, as virtual machines may show a general name. Arm: the numbers of
    implementer and part (Arm's MIDR_EL1), which are all that the kernel says.
    """
    fields: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        name, separator, value = line.partition(":")
        if separator:
            fields.setdefault(name.strip(), value.strip())
    if "model name" in fields:
        numbers = [f"{name} {fields[name]}" for name in ("cpu family", "model", "stepping") if name in fields]
        return f"{fields['model name']} ({', '.join(numbers)})" if numbers else fields["model name"]
    parts = [f"{name} {fields[name]}" for name in ("CPU implementer", "CPU part", "CPU revision") if name in fields]
    return ", ".join(parts)


def _read_cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _gpu_ids() -> tuple[str, ...]:
    """The numbers of this machine's GPUs, from the names of their device files."""
    names = [path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*")]
    return tuple(sorted(filter(str.isdecimal, names), key=int))


def _free_memory() -> int:
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return 0
    found = re.search(r"^MemAvailable:\s*(\d+) kB$", text, re.MULTILINE)
    return 0 if found is None else int(found.group(1)) * 1024


def _most_tasks() -> int:
    """Return how many processes and threads the kernel allows at once; 0 if it does not say."""
    limits = []
    for name in ("pid_max", "threads-max"):
        with contextlib.suppress(OSError, ValueError):
            limits.append(int(Path(f"/proc/sys/kernel/{name}").read_text(encoding="ascii")))
    return min(limits, default=0)


def memory_of_this_machine() -> int:
    """Return the bytes of memory that this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def architecture(machine: str) -> str:
    """Return the name that images use for a processor architecture."""
    return ARCHITECTURES.get(machine, machine)
