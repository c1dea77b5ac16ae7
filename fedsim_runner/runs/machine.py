"""What a run's results depend on besides its experiment: this machine and this fedsim-runner."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..content import PACKAGE_DIR

PACKAGES = (
    "ansible-core",
    "ansible-runner",
    "docker",
    "grpcio",
    "numpy",
    "protobuf",
    "pydantic",
    "PyYAML",
    "rich",
    "scikit-learn",
    "typer",
)
GIT_TIMEOUT_S = 10
CPU_INFO = Path("/proc/cpuinfo")


def control_node() -> dict[str, Any]:
    """Python, kernel and packages of the control node, which plans and makes the data."""
    return {
        "python": platform.python_version(),
        "kernel": platform.release(),
        "system": _system(),
        "cpu_model": cpu_model(),
        "cpu_count": os.cpu_count(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def checkout() -> dict[str, Any] | None:
    """This program's commit, and whether it was changed since; None where it was installed from a wheel."""
    folder = PACKAGE_DIR.parent
    if not (folder / ".git").exists():
        return None
    # One call says both: a program more costs as much as the rest of the manifest.
    status = _git(folder, "status", "--porcelain=v2", "--branch", "--untracked-files=no")
    if status is None:
        return {"revision": None, "changed": None}
    revision = re.search(r"^# branch\.oid ([0-9a-f]+)$", status, re.MULTILINE)
    changed = any(not line.startswith("#") for line in status.splitlines())
    return {"revision": revision and revision[1], "changed": changed}


def cpu_model(path: Path = CPU_INFO) -> str | None:
    """The processor's name according to the kernel; None if it gives none."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # Many ARM kernels give no model name: then use the codes.
    if match := re.search(r"^(?:model name|Model|cpu model)\s*: *(.+)$", text, re.MULTILINE):
        return match[1].strip()
    codes = dict(re.findall(r"^(CPU implementer|CPU part)\s*: *(\S+)$", text, re.MULTILINE))
    return " ".join(f"{key} {value}" for key, value in sorted(codes.items())) or None


def _system() -> str:
    """Like platform.platform(), which starts another program."""
    kernel = os.uname()
    try:
        libc = f"-with-{(os.confstr('CS_GNU_LIBC_VERSION') or 'libc').replace(' ', '')}"
    except (ValueError, OSError):  # not glibc
        libc = ""
    return f"{kernel.sysname}-{kernel.release}-{kernel.machine}{libc}"


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        # Under sudo the checkout belongs to another user; git refuses to read it unless it is declared safe.
        command = ["git", "-c", f"safe.directory={folder}", "-C", str(folder), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_TIMEOUT_S)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
