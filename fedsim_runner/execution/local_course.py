"""Participants as child processes: started, let go together, listened to, sampled, ended."""

from __future__ import annotations

import csv
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..agent.loglines import stamped
from ..agent.samples import HEADER
from ..agent.supervision import Outcome, Supervisor
from ..content import PACKAGE_DIR
from ..lab.identity import own_identity
from ..model import Plan
from .runner import CONTROL_VARIABLE, RUN_VARIABLE

PAUSE_S = 0.05
SAMPLE_EVERY_S = 1.0
GRACE_S = 5.0
LAST_LINES = 20
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Participant:
    """One child process to be. ``out`` is its folder for logs."""

    name: str
    role: Literal["server", "client"]
    engine: str
    config: Path
    out: Path


class Tail:
    """Complete lines that were added to a file since the last look; the file may not be there yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def lines(self, last: bool = False) -> list[str]:
        """New lines; with ``last`` also one that was not ended."""
        try:
            with self._path.open("rb") as stream:
                stream.seek(self._offset)
                data = stream.read()
        except FileNotFoundError:
            return []
        end = len(data) if last else data.rfind(b"\n") + 1
        self._offset += end
        return data[:end].decode(errors="replace").splitlines()


class Course:
    """One course from start to end; :meth:`run` leaves no child behind."""

    def __init__(
        self,
        plan: Plan,
        participants: Sequence[Participant],
        folder: Path,
        news: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._plan = plan
        # Clients first: what they log comes before the server's answer to it.
        self._participants = sorted(participants, key=lambda one: one.role)
        self._folder = folder
        self._news = news
        self._gate = folder / "gate"
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._tails = {one.name: Tail(one.out / "course" / "exp_print.log") for one in participants}

    def run(self, cancelled: Callable[[], bool], told: Callable[[], None]) -> Outcome | None:
        """How the course ended; None if it was cancelled. ``told`` is called often, for messages of interrupts."""
        self._gate.mkdir(exist_ok=True)
        (self._gate / "open").unlink(missing_ok=True)
        try:
            with (
                (self._folder / "journal.jsonl").open("w", encoding="utf-8") as journal,
                (self._folder / "metrics.csv").open("w", encoding="utf-8", newline="") as metrics,
            ):
                self._journal = journal
                self._metrics = csv.DictWriter(metrics, HEADER.split(","), lineterminator="\n")
                self._metrics.writeheader()
                return self._follow(cancelled, told)
        finally:
            self._end_children()

    def _follow(self, cancelled: Callable[[], bool], told: Callable[[], None]) -> Outcome | None:
        for one in self._participants:
            self._start(one)
            self._tell({"event": "device_started", "device": one.name})
        limits = self._plan.experiment.course
        supervisor = Supervisor(
            {one.name: one.role for one in self._participants},
            self._plan.experiment.total_rounds,
            limits.timeout_s,
            limits.silence_timeout_s,
            time.monotonic(),
        )
        self._open_gate()
        sampled = 0.0
        exited: set[str] = set()
        while supervisor.outcome is None:
            told()
            if cancelled():
                return None
            now = time.monotonic()
            if now - sampled >= SAMPLE_EVERY_S:
                sampled = now
                self._sample()
            for one in self._participants:
                for line in self._tails[one.name].lines():
                    self._tell_all(stamped(supervisor.feed_line(one.name, line, now), line))
                code = self._children[one.name].poll()
                if code is not None and one.name not in exited:
                    exited.add(one.name)
                    for line in self._tails[one.name].lines(last=True):
                        self._tell_all(stamped(supervisor.feed_line(one.name, line, now), line))
                    said = _last_lines(one.out / "console.log")
                    self._tell_all(supervisor.feed_exit(one.name, _shell_code(code), False, now, said))
            self._tell_all(supervisor.tick(now))
            time.sleep(PAUSE_S)
        return supervisor.outcome

    def _start(self, one: Participant) -> None:
        one.out.mkdir(parents=True, exist_ok=True)
        paths = [str(PACKAGE_DIR.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            RUN_VARIABLE: self._plan.run,
            CONTROL_VARIABLE: own_identity(),
        }
        command = [sys.executable, "-m", "fedsim_runner.participant", "--engine", one.engine]
        command += ["--config", str(one.config), "--gate", str(self._gate), "--out", str(one.out)]
        with (one.out / "console.log").open("ab") as console:
            self._children[one.name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                env=environment,
                # Ctrl-C of the terminal is for the control node, which then ends its children.
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    def _open_gate(self) -> None:
        open_at = time.time()
        fresh = self._gate / "open.new"
        fresh.write_text(json.dumps({"open_at": open_at}), encoding="utf-8")
        fresh.replace(self._gate / "open")
        self._tell({"event": "gate_opened", "open_at": open_at})

    def _sample(self) -> None:
        now = round(time.time(), 3)
        for name, child in self._children.items():
            figures = process_figures(child.pid)
            if figures is not None:
                self._metrics.writerow({"t": now, "device": name, **figures})

    def _tell_all(self, events: Sequence[dict[str, Any]]) -> None:
        for event in events:
            self._tell(event)

    def _tell(self, event: dict[str, Any]) -> None:
        stamped = {"t": round(time.time(), 6), **event}
        self._journal.write(json.dumps(stamped) + "\n")
        self._journal.flush()
        self._news(stamped)

    def _end_children(self) -> None:
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


def process_figures(pid: int) -> dict[str, Any] | None:
    """CPU seconds, resident memory and its peak in bytes of a process; None if it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    sizes = {
        key: int(value.split()[0]) * 1024
        for key, _, value in (line.partition(":") for line in status.splitlines())
        if key in ("VmRSS", "VmHWM")
    }
    if not sizes:  # a zombie has no memory any more
        return None
    ticks = os.sysconf("SC_CLK_TCK")
    return {
        "cpu_seconds": (int(stat[11]) + int(stat[12])) / ticks,
        "memory_bytes": sizes.get("VmRSS"),
        "memory_peak_bytes": sizes.get("VmHWM"),
    }


def _last_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
    except OSError:
        return []


def _shell_code(code: int) -> int:
    """As a shell and the Engine tell it: 128 + signal."""
    return 128 - code if code < 0 else code


_LIBC = ctypes.CDLL(None, use_errno=True)


def _die_with_parent() -> None:
    """In the child: be killed if the control node dies, however that happens."""
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
