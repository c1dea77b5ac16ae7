"""Programs of other architectures on a lab host: which ones its kernel runs with qemu-user, and how much slower.

The kernel's list of interpreters is described in Documentation/admin-guide/binfmt-misc.rst of its source.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from .atomic import replace

#: Where the kernel lists interpreters of programs that are not its own.
REGISTRY: Final = Path("/proc/sys/fs/binfmt_misc")
#: The machine in the header of an ELF program (e_machine), by architecture.
ELF_MACHINES: Final = {"amd64": 0x3E, "arm64": 0xB7}
#: The same machine in the names of qemu's programs.
QEMU_NAMES: Final = {"amd64": "x86_64", "arm64": "aarch64"}
#: Debian's and Ubuntu's package with the interpreters and what registers them.
PACKAGE: Final = "qemu-user-static"
#: Of the state root: what was measured on this lab host.
SLOWDOWNS: Final = "slowdowns.json"
#: How many times longer programs take under qemu-user where that was not measured yet: 12 to 13 were, on an EPYC.
ASSUMED_SLOWDOWN: Final = 15.0

#: Devices named in a sentence.
NAMED: Final = 4


@dataclass(frozen=True)
class Slowdown:
    """How many times longer emulated programs take than the lab host's own: Python code, and a training step."""

    python: float
    step: float


Slowdowns = Mapping[str, Mapping[str, Slowdown]]  # by architecture and engine

_MEASURED: Final = ": as measured there"
_UNMEASURED: Final = ": how much longer they compute with engine"
_ELF_MACHINE_AT = 18  # bytes into the header, two bytes, little-endian


def find_interpreter(arch: str, registry: Path = REGISTRY) -> str | None:
    """Return what the kernel runs programs of this architecture with, in any container; None: there is nothing.

    The kernel must have opened it when it was registered (flag F): a container's image does not have it.
    """
    try:
        if (registry / "status").read_text(encoding="ascii").strip() != "enabled":
            return None
        entries = [path for path in registry.iterdir() if path.name not in ("register", "status")]
        texts = [path.read_text(encoding="ascii", errors="replace") for path in sorted(entries)]
    except OSError:
        return None
    found = (_read_entry(text, ELF_MACHINES.get(arch, -1)) for text in texts)
    return next((interpreter for interpreter in found if interpreter is not None), None)


def emulated_architectures(registry: Path = REGISTRY) -> tuple[str, ...]:
    """Return the architectures whose programs the kernel runs with an interpreter, in any container."""
    return tuple(arch for arch in ELF_MACHINES if find_interpreter(arch, registry) is not None)


def _read_entry(text: str, machine: int) -> str | None:
    """Return the interpreter of an entry if it is one for this machine."""
    lines = text.splitlines()
    words = dict(line.partition(" ")[::2] for line in lines)
    if "enabled" not in lines or "F" not in words.get("flags:", "") or words.get("offset") != "0":
        return None
    try:
        magic = bytes.fromhex(words.get("magic", ""))
    except ValueError:
        return None
    wanted = machine.to_bytes(2, "little") if machine >= 0 else None
    if magic[:4] != b"\x7fELF" or magic[_ELF_MACHINE_AT : _ELF_MACHINE_AT + 2] != wanted:
        return None
    return words.get("interpreter")


def read_slowdowns(state_root: Path, circumstances: str) -> Slowdowns:
    """Return what was measured on this lab host under these circumstances; nothing if it cannot be read."""
    try:
        content = json.loads((state_root / SLOWDOWNS).read_text(encoding="utf-8"))
        if content["circumstances"] != circumstances:
            return {}
        return parse_slowdowns(content["slowdowns"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}


def parse_slowdowns(content: Mapping[str, Any]) -> Slowdowns:
    """Return what :func:`dump_slowdowns` wrote.

    Raises:
        LookupError, TypeError, ValueError, AttributeError: it is something else.
    """
    return {
        str(arch): {
            str(engine): Slowdown(float(value["python"]), float(value["step"])) for engine, value in engines.items()
        }
        for arch, engines in content.items()
    }


def dump_slowdowns(slowdowns: Slowdowns) -> dict[str, Any]:
    """Return them as plain data."""
    return {arch: {engine: asdict(value) for engine, value in engines.items()} for arch, engines in slowdowns.items()}


def write_slowdowns(state_root: Path, slowdowns: Slowdowns, circumstances: str) -> None:
    """Keep what was measured on this lab host.

    Raises:
        CannotWriteError: the disk is full, for example.
    """
    content = {"circumstances": circumstances, "slowdowns": dump_slowdowns(slowdowns)}
    replace(state_root / SLOWDOWNS, json.dumps(content, indent=1, sort_keys=True) + "\n")


def describe_circumstances(registry: Path = REGISTRY, cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return what a slowdown depends on: the processor, and the interpreters with their sizes."""
    try:
        model = re.search(r"^(?:model name|CPU part)\s*:\s*(.*)$", cpuinfo.read_text(errors="replace"), re.MULTILINE)
    except OSError:
        model = None
    parts = [model[1] if model else "unknown processor"]
    for arch in ELF_MACHINES:
        interpreter = find_interpreter(arch, registry)
        if interpreter is not None:
            try:
                size = Path(interpreter).stat().st_size
            except OSError:
                size = 0
            parts.append(f"{interpreter} {size}")
    return ", ".join(parts)


def describe_emulated(devices: Sequence[str], arch: str, lab_host: str, host_arch: str) -> str:
    """Return which devices run programs of another architecture, and where, as the beginning of a sentence."""
    more = f" and {len(devices) - NAMED} more" if len(devices) > NAMED else ""
    names = ", ".join(devices[:NAMED]) + more
    return f"{names}: {arch} programs under qemu-user on lab host {lab_host}, which is {host_arch}"


def describe_unmeasured(engine: str) -> str:
    """Return that nobody has measured it yet, in the place of :func:`describe_slowdown`."""
    return (
        f"{_UNMEASURED} {engine} is not known yet; `fedsim-provision up` or `run` measures it once the images are "
        f"built, and until then limits of time count with {ASSUMED_SLOWDOWN:g} times"
    )


def without_measured(notes: Iterable[str], measured: Iterable[str]) -> list[str]:
    """Return a plan's notes without those that it was not known of devices what the run has then measured of them.

    ``measured``: sentences of :func:`describe_emulated` and :func:`describe_slowdown`.
    """
    known = {note.partition(_MEASURED)[0] for note in measured}
    return [note for note in notes if _UNMEASURED not in note or note.partition(_UNMEASURED)[0] not in known]


def describe_slowdown(engine: str, slowdown: Slowdown) -> str:
    """Return how much longer they compute, as the rest of it."""
    return (
        f"{_MEASURED}, Python code takes {slowdown.python:.3g} times as long as natively, and a reference step "
        f"of engine {engine}, which is array arithmetic, {slowdown.step:.3g} times; links stay in real time"
    )
