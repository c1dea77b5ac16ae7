"""Run a command in a user-mode Linux kernel with netem, which many machines' own kernels lack.

    python -m tests.lab.user_mode [--timeout S] COMMAND ...

The kernel boots in a second with this machine's files as its root, runs the command as root in this repository, ends,
and leaves nothing behind; the exit code is the command's. The kernel is the executable that FEDSIM_TEST_UML_KERNEL
names, or else that of Debian's package user-mode-linux (whose modules need kmod).
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[2]
NAMED = "FEDSIM_TEST_UML_KERNEL"
DEBIANS = ("/usr/bin/linux.uml", "/usr/bin/linux")
MEMORY = "512M"
TIMEOUT_S = 600.0
EXIT_NO_RESULT = 70


class UserModeError(Exception):
    """There is no kernel, or it did not come to an end."""


def find_kernel() -> Path:
    """The kernel's path.

    Raises:
        UserModeError: there is none; the text says how to get one.
    """
    named = os.environ.get(NAMED)
    for candidate in [named] if named else DEBIANS:
        if os.access(candidate, os.X_OK) and Path(candidate).is_file():
            return Path(candidate)
    if named:
        raise UserModeError(f"{NAMED} names {named}, which is not an executable file")
    raise UserModeError(f"no user-mode Linux kernel: apt-get install user-mode-linux kmod, or set {NAMED}")


def run(command: Sequence[str], timeout_s: float = TIMEOUT_S, output: IO[str] | None = None) -> int:
    """Run the command in the kernel and return its exit code.

    Args:
        command: its words.
        timeout_s: seconds that the kernel may run.
        output: where its console goes, which is the command's standard output and error; None: this program's own.

    Raises:
        UserModeError: there is no kernel, it did not end in time, or the command's exit code is not known.
    """
    kernel = find_kernel()
    with tempfile.TemporaryDirectory(prefix="fedsim-user-mode-") as name:
        folder = Path(name)
        code = folder / "code"
        script = folder / "init"
        script.write_text(_init(command, _write_loader(kernel, folder), code), encoding="utf-8")
        script.chmod(0o755)
        memory = Path("/dev/shm")
        environment = {"TMPDIR": str(memory if memory.is_dir() else folder), "HOME": name}
        arguments = [
            str(kernel),
            f"mem={MEMORY}",
            f"umid=fedsim-{uuid.uuid4().hex[:8]}",
            f"uml_dir={folder / 'machine'}",
        ]
        arguments += ["root=/dev/root", "rootfstype=hostfs", "rootflags=/", "rw", f"init={script}"]
        arguments += ["con=null", "con0=fd:0,fd:1", "quiet"]
        # Newer kernels run several times faster with seccomp=on; older ones pass the unknown word on to init.
        arguments += ["seccomp=on"]
        try:
            subprocess.run(
                on_one_cpu(arguments, _worker()),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise UserModeError(f"the user-mode kernel did not end in {timeout_s:g} s") from error
        try:
            return int(code.read_text())
        except (OSError, ValueError) as error:
            raise UserModeError("the user-mode kernel ended without the command's exit code") from error


def on_one_cpu(command: Sequence[str], number: int) -> list[str]:
    """The command of such a kernel, kept on one CPU of this process; with another number perhaps on another.

    It has one processor, so one of its processes runs at a time. Where each had to wake up the next on an idle CPU, 100
    links were shaped in 3.4 to 4.0 s in a virtual machine, on one CPU in 1.2 to 1.4 s.
    """
    cpus = sorted(os.sched_getaffinity(0))
    return ["taskset", "--cpu-list", str(cpus[number % len(cpus)]), *command]


def _worker() -> int:
    """The number of this process among those of pytest that work side by side."""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


def _write_loader(kernel: Path, folder: Path) -> Path:
    """A program that loads modules: Debian's kernel has its own in a separate folder."""
    modules = kernel.resolve().parents[1] / "lib" / "uml" / "modules"
    (folder / "lib").mkdir()
    (folder / "lib" / "modules").symlink_to(modules)
    loader = folder / "modprobe"
    loader.write_text(f'#!/bin/sh\nexec modprobe -d {shlex.quote(str(folder))} "$@"\n', encoding="utf-8")
    loader.chmod(0o755)
    return loader


def _init(command: Sequence[str], loader: Path, code: Path) -> str:
    quoted = shlex.quote(str(code))
    return (
        "#!/bin/sh\n"
        "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8\n"
        "export PYTHONDONTWRITEBYTECODE=1\n"
        "mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t tmpfs run /run\n"
        # A kernel without modules lacks this file.
        f"test ! -e /proc/sys/kernel/modprobe || echo {shlex.quote(str(loader))} >/proc/sys/kernel/modprobe\n"
        f"cd {shlex.quote(str(ROOT))}\n"
        f"{shlex.join(command)}\n"
        f"echo $? >{quoted}.new; mv {quoted}.new {quoted}; sync\n"
        "echo o >/proc/sysrq-trigger\nsleep 60\n"
    )


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.user_mode", description="Run a command in a kernel.")
    parser.add_argument("--timeout", type=float, default=TIMEOUT_S, metavar="S", help="seconds (default: %(default)g)")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if not options.command:
        parser.error("no command")
    try:
        return run(options.command, options.timeout)
    except UserModeError as error:
        print(error, file=sys.stderr)
        return EXIT_NO_RESULT


if __name__ == "__main__":
    sys.exit(main())
