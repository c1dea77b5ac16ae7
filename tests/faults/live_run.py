"""A run of the command that is in progress, and what can be seen of it from outside."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import docker
import psutil

from fedsim_runner.contract.claim import RUN_VARIABLE
from fedsim_runner.contract.names import KIND_AGENT, KIND_NETWORK, LABEL_DEVICE, LABEL_KIND, LABEL_RUN
from fedsim_runner.contract.paths import STATE_ROOT, StateFolder

from .scenario import ENDED, Moment, Start

# Until the command prints what a moment waits for: images may have to be built first.
MOMENT_S = 300.0
DOWN_S = 120.0
# In the command's environment: whoever finds it in a file has found a copy of the user's environment.
SECRET_VARIABLE = "FEDSIM_FAULTS_SECRET"


class MissedError(Exception):
    """The command ended, or did not get to the moment in time, before the step was done."""


class LiveRun:
    """One run of ``fedsim-provision`` with a home for its state and its temporary files, both its own.

    Args:
        engine: the Docker Engine on which it runs.
        where: an empty folder for everything that the run writes.
        name: the run's name; something is appended, since others may play the same scenario on this machine.
    """

    def __init__(self, engine: docker.DockerClient, where: Path, name: str) -> None:
        self.engine = engine
        self.where = where
        self.run = f"{name}-{os.getpid():x}"
        self.folder = where / "runs" / self.run
        self.state = StateFolder(STATE_ROOT / self.run)
        self.secret = secrets.token_hex(16)
        self.temporary = where / "tmp"
        self.temporary.mkdir()
        self.lines: list[str] = []
        self.others: list[subprocess.CompletedProcess[str]] = []
        self._closed = threading.Event()
        self.exit_code: int | None = None
        # When the last step was done, in unix seconds like the journal's events; 0 before the first.
        self.stepped = 0.0

    #: Options that name the lab for the command that starts the run.
    lab_options: tuple[str, ...] = ()

    def command(self, *arguments: str) -> list[str]:
        """The words of a call of ``fedsim-provision``."""
        return [sys.executable, "-m", "fedsim_runner", *arguments]

    @property
    def engines(self) -> Sequence[docker.DockerClient]:
        """The Engines of the lab hosts."""
        return (self.engine,)

    @property
    def state_folders(self) -> Sequence[Path]:
        """The run's state folders on the lab hosts, as this machine's root sees them."""
        return (self.state.path,)

    def start(self, start: Start) -> None:
        """Start the command."""
        spec = str(start.write(self.where))
        arguments = [*start.verb, spec, "--run", self.run, *self.lab_options, *start.options]
        self.environment = {
            **os.environ,
            "XDG_STATE_HOME": str(self.where / "state"),
            "TMPDIR": str(self.temporary),
            SECRET_VARIABLE: self.secret,
            **start.environment,
        }
        with contextlib.ExitStack() as stack:
            output: int | IO[str] = subprocess.PIPE
            if start.output:
                output = stack.enter_context(Path(start.output).open("w", encoding="utf-8"))
            self.process = subprocess.Popen(
                self.command(*arguments),
                cwd=self.where,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        if self.process.stdout is None:
            return
        with self.process.stdout as stream:
            for line in stream:
                self.lines.append(line.rstrip("\n"))
                if self._closed.is_set():
                    return

    def close_output(self) -> None:
        """After the next line nobody reads any more what the command prints, as in ``| head`` or a closed terminal."""
        self._closed.set()

    @property
    def output(self) -> str:
        """What the command printed so far."""
        return "\n".join(self.lines)

    def wait_for(self, moment: Moment) -> None:
        """Wait for a moment of the run.

        Raises:
            MissedError: the command ended before.
        """
        if moment is ENDED:
            self.finish(MOMENT_S)
            return
        end = time.monotonic() + MOMENT_S
        while moment.text and not any(moment.text in line for line in list(self.lines)):
            if self.process.poll() is not None or time.monotonic() > end:
                self._reader.join(5)
                if any(moment.text in line for line in self.lines):
                    break
                raise MissedError(f"{moment.text!r} was not printed:\n{self.output}")
            time.sleep(0.02)
        time.sleep(moment.delay_s)

    def finish(self, seconds: float) -> int | None:
        """Wait for the command's end and return its exit code; None if it does not end in time."""
        if self.exit_code is None:
            try:
                self.exit_code = self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                return None
            self._reader.join(10)
        return self.exit_code

    def call(
        self, *arguments: str, seconds: float = DOWN_S, home: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Another call of the command and its output, in the same home or from another one."""
        folder = self.where if home is None else home
        folder.mkdir(exist_ok=True)
        return subprocess.run(
            self.command(*arguments),
            cwd=folder,
            env={**self.environment, "HOME": str(folder), "XDG_STATE_HOME": str(folder / "state")}
            if home is not None
            else self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )

    def signal(self, number: signal.Signals, group: bool = True) -> None:
        """Send a signal to the command's whole group, as a terminal does, or to the command alone, as ``kill`` does."""
        if self.process.poll() is not None:
            raise MissedError(f"the command had ended before {number.name}:\n{self.output}")
        if group:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)

    def container(self, device: str) -> Any:
        """The container of a device."""
        return self._one(f"{LABEL_DEVICE}={device}")

    @property
    def agent(self) -> Any:
        """The agent's container."""
        return self._one(f"{LABEL_KIND}={KIND_AGENT}")

    @property
    def network(self) -> Any:
        """The container that holds the run's network."""
        return self._one(f"{LABEL_KIND}={KIND_NETWORK}")

    def _one(self, label: str) -> Any:
        filters = {"label": [f"{LABEL_RUN}={self.run}", label]}
        found = [one for engine in self.engines for one in engine.containers.list(all=True, filters=filters)]
        if len(found) != 1:
            raise MissedError(f"{len(found)} containers have the label {label}:\n{self.output}")
        return found[0]

    def pid(self, container: Any) -> int:
        """The process of a container on this machine."""
        container.reload()
        pid: int = container.attrs["State"]["Pid"]
        if pid <= 0:
            raise MissedError(f"{container.name} does not run (any more):\n{self.output}")
        return pid

    @property
    def report(self) -> dict[str, Any]:
        """The run's report; empty if there is none."""
        try:
            loaded: dict[str, Any] = json.loads((self.folder / "report.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return loaded

    def events(self, *names: str) -> list[dict[str, Any]]:
        """The events of these names in the journal that was fetched."""
        try:
            lines = (self.folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()
        except OSError:
            return []
        return [event for event in map(json.loads, lines) if event.get("event") in names]

    def left_over(self) -> list[str]:
        """Everything of the run that is still there: containers, networks, volumes, processes, folders."""
        filters = {"label": f"{LABEL_RUN}={self.run}"}
        names = []
        for api in (engine.api for engine in self.engines):
            names += [container["Names"][0] for container in api.containers(all=True, filters=filters)]
            names += [network["Name"] for network in api.networks(filters=filters)]
            names += [volume["Name"] for volume in api.volumes(filters=filters)["Volumes"] or []]
        names += [f"process {pid} ({line})" for pid, line in self._processes()]
        return names + [str(folder) for folder in self.state_folders if folder.exists()]

    def copies_of_the_environment(self) -> list[str]:
        """Files with the user's environment in them, in the temporary folder, the run folder and the state folder."""
        folders = [self.temporary, self.where / "runs", *self.state_folders]
        files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
        return [str(path) for path in files if self.secret.encode() in path.read_bytes()]

    def temporary_folders(self) -> list[str]:
        """What the command made for itself in the temporary folder."""
        return sorted(str(path) for path in self.temporary.glob("fedsim-*"))

    def _processes(self) -> Iterator[tuple[int, str]]:
        for process in psutil.process_iter():
            try:
                if process.environ().get(RUN_VARIABLE) == self.run:
                    yield process.pid, " ".join(process.cmdline())[:80]
            except (psutil.Error, OSError):
                continue

    def remove(self) -> None:
        """Remove whatever is left, however the run ended, so that nothing of it disturbs the next one."""
        if self.exit_code is None and self.process.poll() is None:
            self.signal(signal.SIGKILL)
            self.process.wait(30)
        for pid, _ in self._processes():
            os.kill(pid, signal.SIGKILL)
        filters = {"label": f"{LABEL_RUN}={self.run}"}
        for engine in self.engines:
            for container in engine.containers.list(all=True, filters=filters, ignore_removed=True):
                container.remove(force=True)
            for network in engine.networks.list(filters=filters):
                network.remove()
        for folder in self.state_folders:
            shutil.rmtree(folder, ignore_errors=True)

    def found(self, pattern: str) -> bool:
        """Whether the command printed this; line ends count as blanks."""
        return re.search(pattern, re.sub(r"\s+", " ", self.output)) is not None
