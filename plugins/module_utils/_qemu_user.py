"""qemu-user as a machine has it installed, and how the kernel gets to know it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ansible_collections.fedsim.testbed.plugins.module_utils._contract.emulation import QEMU_NAMES, REGISTRY

#: Where packages leave the lines that systemd-binfmt registers (binfmt.d(5)). Without systemd nobody does.
_FOLDERS = (Path("/etc/binfmt.d"), Path("/usr/lib/binfmt.d"))


def find_registration(arch: str, folders: tuple[Path, ...] = _FOLDERS) -> str | None:
    """Return the line that registers qemu-user for an architecture, so that it runs in any container; None: it is not
    installed.
    """
    name = f"qemu-{QEMU_NAMES.get(arch, arch)}"
    for folder in folders:
        try:
            text = (folder / f"{name}.conf").read_text(encoding="ascii")
        except (OSError, ValueError):
            continue
        for line in text.splitlines():
            # :name:type:offset:magic:mask:interpreter:flags, with the first character as the separator.
            fields = line.split(line[:1]) if line.startswith(":") else []
            if len(fields) == 8 and Path(fields[6]).is_file():
                # F: the kernel opens the interpreter now, and containers need not have it.
                flags = fields[7] if "F" in fields[7] else fields[7] + "F"
                return ":".join([*fields[:7], flags])
    return None


def mount_registry(registry: Path = REGISTRY) -> bool:
    """Make the kernel's list of interpreters visible; return whether it was not.

    Raises:
        OSError: it cannot be mounted.
    """
    if (registry / "register").exists():
        return False
    command = ["mount", "-t", "binfmt_misc", "binfmt_misc", str(registry)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        raise OSError(mounted.stderr.strip() or "binfmt_misc cannot be mounted")
    return True


def register(line: str, registry: Path = REGISTRY) -> None:
    """Have the kernel run programs as ``line`` says.

    Raises:
        OSError: it does not.
    """
    name = registry / line.split(":")[1]
    if name.exists():  # without the flag F, or switched off: the kernel does not replace an entry
        name.write_text("-1")
    (registry / "register").write_text(line)
