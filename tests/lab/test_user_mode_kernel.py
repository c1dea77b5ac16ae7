"""The link tests inside a user-mode Linux kernel with netem, which many kernels (perhaps this one) lack.

The kernel boots in a second with this machine's files as its root and only runs pytest. It is the one that
FEDSIM_TEST_UML_KERNEL names, or else that of Debian's package user-mode-linux (whose modules need kmod).
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BOOT_TIMEOUT_S = 300


def kernel() -> str:
    """The user-mode kernel's path, or a skip that says how to get one."""
    named = os.environ.get("FEDSIM_TEST_UML_KERNEL")
    candidates = [named] if named else ["/usr/bin/linux.uml", "/usr/bin/linux"]
    for candidate in candidates:
        if os.access(candidate, os.X_OK):
            return candidate
    assert named is None, f"FEDSIM_TEST_UML_KERNEL names {named}, which is not executable"
    pytest.skip("no user-mode Linux kernel: apt-get install user-mode-linux kmod, or set FEDSIM_TEST_UML_KERNEL")


def boot(program: str, script: Path) -> str:
    """Run the script as init of a user-mode kernel; return its output."""
    memory = Path("/dev/shm")
    environment = {"TMPDIR": str(memory if memory.is_dir() else script.parent), "HOME": str(script.parent)}
    machine = script.parent / "machine"
    arguments = [program, "mem=512M", f"umid=fedsim-{uuid.uuid4().hex[:8]}", f"uml_dir={machine}"]
    arguments += ["root=/dev/root", "rootfstype=hostfs", "rootflags=/", "rw", f"init={script}"]
    arguments += ["con=null", "con0=fd:0,fd:1", "quiet"]
    # Newer kernels run several times faster with seccomp=on; older ones pass the unknown word on to init.
    arguments += ["seccomp=on"]
    try:
        done = subprocess.run(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            text=True,
            errors="replace",
            timeout=BOOT_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        output = error.stdout or b""
        text = output.decode(errors="replace") if isinstance(output, bytes) else output
        raise AssertionError(f"the user-mode kernel did not end in {BOOT_TIMEOUT_S} s:\n{text[-4000:]}") from error
    return done.stdout


def test_links_by_netem(tmp_path: Path) -> None:
    program = kernel()
    arguments = [sys.executable, "-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider", "-o", "timeout=120"]
    # What only the userspace back end has: an agent that packets pass through, rules, a process.
    of_netem = "not without_its_agent and not rules and not packet_process"
    arguments += ["tests/lab/test_links.py", "-k", of_netem]
    modules = Path(program).resolve().parents[1] / "lib" / "uml" / "modules"
    loader = tmp_path / "modprobe"
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "modules").symlink_to(modules)
    loader.write_text(f'#!/bin/sh\nexec modprobe -d {shlex.quote(str(tmp_path))} "$@"\n')
    loader.chmod(0o755)
    script = tmp_path / "init"
    script.write_text(
        "#!/bin/sh\n"
        "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8\n"
        "export PYTHONDONTWRITEBYTECODE=1 FEDSIM_LAB_BACKEND=netem\n"
        "mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t tmpfs run /run\n"
        # Debian's kernel has its modules in a separate folder; a kernel without modules lacks this file.
        f"test ! -e /proc/sys/kernel/modprobe || echo {shlex.quote(str(loader))} >/proc/sys/kernel/modprobe\n"
        f"cd {shlex.quote(str(ROOT))} && {shlex.join(arguments)}\n"
        "echo o >/proc/sysrq-trigger\nsleep 60\n"
    )
    script.chmod(0o755)
    output = boot(program, script)
    summary = re.findall(r"^(?:=+ )?(\d+ passed.*)$", output, re.MULTILINE)
    assert summary and "failed" not in summary[-1] and "skipped" not in summary[-1], output[-6000:]
