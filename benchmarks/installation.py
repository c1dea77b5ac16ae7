"""An installed fedsim-provision that a benchmark runs: the one beside this interpreter, and others to compare with."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PROGRAM = "fedsim-provision"
#: Seconds that an interrupted command may take to tear down hundreds of devices.
TEARDOWN_LIMIT_S = 600
#: How the line that the command prints at the begin of a stage ends.
STAGE_BEGINS = " ..."


@dataclass(frozen=True)
class Installation:
    """One installation of the command; ``title``: what tables call it."""

    title: str
    program: Path

    def run(self, arguments: Sequence[str], cwd: Path) -> float:
        """Run the command and return its wall time in seconds.

        Raises:
            SystemExit: the command failed; its output is shown.
        """
        command = self.start(arguments, cwd)
        code = command.finish()
        if code != 0:
            raise SystemExit(f"{self.program} {' '.join(arguments)} exited {code}\n{command.output}")
        return command.seconds

    def start(self, arguments: Sequence[str], cwd: Path) -> RunningCommand:
        """Start the command; its output is kept, with the time of each line."""
        return RunningCommand([str(self.program), *arguments], cwd)


class RunningCommand:
    """A command in a session of its own, whose output is read while it runs; ``started``, ``ended``: Unix seconds."""

    def __init__(self, command: Sequence[str], cwd: Path) -> None:
        self.started = time.time()
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env=user_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._lines: list[tuple[float, str]] = []
        self.ended = self.started
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.append((time.time(), line.rstrip("\n")))

    def finish(self, limit_s: float | None = None) -> int:
        """Wait for the end and return the exit code. Interrupted, let the command remove its testbed first."""
        try:
            code = self.process.wait(limit_s)
        except KeyboardInterrupt:  # the command has a session of its own, so Ctrl-C did not reach it
            self.interrupt()
            raise
        self.ended = time.time()
        self._reader.join()
        return code

    def interrupt(self) -> int:
        """Send what a terminal sends at Ctrl-C, wait until the testbed is removed, and return the exit code."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        return self.finish(TEARDOWN_LIMIT_S)

    @property
    def seconds(self) -> float:
        """Wall time of the whole command."""
        return self.ended - self.started

    @property
    def output(self) -> str:
        """All that it has printed so far."""
        return "\n".join(line for _, line in list(self._lines))

    def stages(self) -> dict[str, float]:
        """Return when each stage began, in Unix seconds, in their order."""
        return {line.removesuffix(STAGE_BEGINS): at for at, line in list(self._lines) if line.endswith(STAGE_BEGINS)}


def user_environment() -> Mapping[str, str]:
    """Return the environment as a user has it: where bytecode is not kept, each start compiles the package again."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def this_installation() -> Installation:
    """Return the installation beside this interpreter, activated or not."""
    return Installation("this", Path(sys.executable).with_name(PROGRAM))


def benchmark_arguments(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of command lines that compare installations; :func:`installations` reads what it finds."""
    first_line = (description or "").partition("\n")[0]
    parser = argparse.ArgumentParser(description=first_line)
    parser.add_argument(
        "--against",
        action="append",
        default=[],
        type=Path,
        metavar="PATH",
        help=f"the {PROGRAM} of another installation, which is measured in the same run; may be repeated",
    )
    return parser


def installations(arguments: argparse.Namespace) -> list[Installation]:
    """Return this installation and those to compare it with.

    Raises:
        SystemExit: one of them is not there.
    """
    found = [this_installation()]
    for path in arguments.against:
        program = path.absolute()
        if not os.access(program, os.X_OK) or program.is_dir():
            raise SystemExit(f"--against {path}: not a program; name the other installation's bin/{PROGRAM}")
        found.append(Installation(f"{_version(program)} in {program.parent.parent.parent}", program))
    return found


def _version(program: Path) -> str:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return done.stdout.split()[-1]
