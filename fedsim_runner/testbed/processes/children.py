"""Participants as child processes of this one: starting them, measuring their usage, ending them."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from fedsim_runner.agent.host.device_usage import Reading
from fedsim_runner.content import PACKAGE_DIR
from fedsim_runner.contract.claim import CONTROL_VARIABLE, RUN_VARIABLE
from fedsim_runner.contract.compute_threads import thread_variables
from fedsim_runner.contract.process_identity import own_identity
from fedsim_runner.engines.engine_values import Interpreter
from fedsim_runner.engines.protocol import engine
from fedsim_runner.temporary_folders import temporary_folder

from ..orphans import processes_with

PARTICIPANT = "fedsim_runner.participant"
GRACE_S = 5.0
LAST_LINES = 20
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Participant:
    """A child process to start. ``out`` is its folder for logs; ``address`` is host:port of a client.

    ``launch``: the engine argument for the launcher. ``start_cpu_s``: CPU seconds within which it should be listening.
    """

    name: str
    role: Literal["server", "client"]
    engine: str
    launch: str
    config: Path
    out: Path
    start_cpu_s: float = 0.0
    address: str = ""


def interpreters(engines: Iterable[str], source: str | None) -> dict[str, Interpreter]:
    """The Python interpreter of each engine.

    Args:
        engines: engines of the course.
        source: ``federatedscope.source`` of the experiment.

    Raises:
        FedsimError: an engine cannot be run here; exit code 3, or 2 if the configuration is wrong.
    """
    return {name: engine(name).interpreter(source) for name in engines}


class Processes:
    """The child processes of one run; leaving the context ends them. They die with the thread that starts them."""

    def __init__(self, run: str, gate: Path, pythons: Mapping[str, Interpreter]) -> None:
        self._run = run
        self._gate = gate
        self._pythons = pythons
        self._stack = ExitStack()
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Processes:
        # Only the parts that images hold, too: with the whole site-packages folder on its path, the user's interpreter
        # would find this one's libraries before its own.
        self._code = self._stack.enter_context(temporary_folder())
        package = self._code / PACKAGE_DIR.name
        package.mkdir()
        for part in ("__init__.py", "contract", "participant"):
            (package / part).symlink_to(PACKAGE_DIR / part)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._end()
        finally:
            self._stack.close()

    def start(self, one: Participant) -> None:
        """Start a participant; it waits at the gate."""
        one.out.mkdir(parents=True, exist_ok=True)
        interpreter = self._pythons.get(one.engine, Interpreter(sys.executable))
        inherited = tuple(filter(None, [os.environ.get("PYTHONPATH")]))
        environment = {
            **os.environ,
            "PYTHONPATH": _joined((str(self._code), *interpreter.path, *inherited)),
            **thread_variables(1),
            RUN_VARIABLE: self._run,
            CONTROL_VARIABLE: own_identity(),
        }
        command = [interpreter.python, "-m", PARTICIPANT, "--engine", one.launch]
        command += ["--config", str(one.config), "--gate", str(self._gate), "--out", str(one.out)]
        with (one.out / "console.log").open("ab") as console:
            self._children[one.name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                env=environment,
                # Ctrl-C in the terminal is meant for the control node, which then ends its children.
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    def exit_code(self, name: str) -> int | None:
        """The exit code as a shell and the Engine report it (128 + signal); None while it runs."""
        code = self._children[name].poll()
        return None if code is None else 128 - code if code < 0 else code

    def figures(self) -> dict[str, dict[str, Any]]:
        """CPU time and memory of the participants that are alive."""
        found = ((name, process_figures(child.pid)) for name, child in self._children.items())
        return {name: figures for name, figures in found if figures is not None}

    def frozen(self, name: str) -> bool:
        """Whether a participant is stopped by a signal."""
        try:
            return psutil.Process(self._children[name].pid).status() == psutil.STATUS_STOPPED
        except psutil.NoSuchProcess:
            return False

    def kill(self, name: str) -> None:
        """Kill a participant that was given up."""
        if self._children[name].poll() is None:
            self._children[name].kill()

    def _end(self) -> None:
        for number, grace in ((signal.SIGTERM, GRACE_S), (signal.SIGKILL, None)):
            living = [child for child in self._children.values() if child.poll() is None]
            for child in living:
                child.send_signal(number)
            end = None if grace is None else time.monotonic() + grace
            for child in living:
                try:
                    child.wait(None if end is None else max(0.0, end - time.monotonic()))
                except subprocess.TimeoutExpired:
                    continue


def living_participants() -> dict[str, list[str]]:
    """Names of devices whose processes are alive, by run; of all control nodes on this machine."""
    found: dict[str, list[str]] = {}
    for pid, environment in processes_with(RUN_VARIABLE):
        try:
            words = psutil.Process(pid).cmdline()
        except psutil.Error:
            continue
        if PARTICIPANT in words and "--out" in words:
            found.setdefault(environment[RUN_VARIABLE], []).append(Path(words[words.index("--out") + 1]).name)
    return found


def process_figures(pid: int) -> dict[str, Any] | None:
    """CPU seconds of a process, its resident memory and the peak in bytes; None if it is gone."""
    try:
        process = psutil.Process(pid)
        cpu, memory = process.cpu_times(), process.memory_info().rss
        peak = _memory_peak(pid)
    except (psutil.NoSuchProcess, OSError):
        return None
    if peak is None:  # a zombie has no memory any more
        return None
    # The peak may have been read a moment later, never earlier.
    return {"cpu_seconds": cpu.user + cpu.system, "memory_bytes": memory, "memory_peak_bytes": max(peak, memory)}


def _memory_peak(pid: int) -> int | None:
    """The kernel's high water mark in bytes, which psutil does not report; None for a zombie."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


def reading(figures: Mapping[str, Any]) -> Reading:
    """The figures in the form of the agent's samplers. Bytes on the loopback are not counted per process."""
    return Reading(figures["memory_bytes"], figures["cpu_seconds"])


def last_lines(path: Path) -> list[str]:
    """The last lines of a participant's console."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
    except OSError:
        return []


def _joined(folders: Iterable[str]) -> str:
    return os.pathsep.join(folders)


_LIBC = ctypes.CDLL(None, use_errno=True)


def _die_with_parent() -> None:
    """In the child: ask the kernel to kill it when the control node dies, however that happens."""
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
