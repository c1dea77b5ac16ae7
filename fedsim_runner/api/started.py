"""Starting runs and awaiting them. Each is the command ``fedsim-provision run`` in a process of its own."""

from __future__ import annotations

import asyncio
import itertools
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import IO, Any

from ..contract.errors import Exit, FedsimError
from ..contract.names import check_run
from ..results.comparison.run_folders import is_run_folder
from ..runs.experiment_file import load_experiment
from ..runs.folder import RUN_NAME, new_run_id
from ..runs.run_status import status_of
from ..yamlfile.spec_errors import SpecErrors
from .run import Run, open_run

# How much of what the command printed an error repeats.
_LAST_LINES = 15
# The folders of runs of this process, which their commands may not have made yet.
_STARTED: set[Path] = set()
# Options that :func:`start` gives itself, or that do not make one run.
_NOT_FOR_ONE_RUN = {
    "--run": "name=...",
    "--runs-dir": "runs_dir=...",
    "--seeds": "a run for each, and compare(...)",
    "--grid": "a run for each, and compare(...)",
}


class RunFailedError(FedsimError):
    """A run did not finish. ``exit`` is the exit code of the command.

    Attributes:
        run: what it has left; None: it left no run folder.
    """

    run: Run | None = None


class StartedRun:
    """A run in progress, which :func:`start` has started.

    It goes on when Python ends, and can then be opened by its name. ``await`` it, or call :meth:`wait`.

    Attributes:
        name: its name, for the command: ``fedsim-provision status NAME``.
        folder: its run folder.
    """

    def __init__(self, name: str, folder: Path, process: subprocess.Popen[bytes], printed: IO[bytes]) -> None:
        """Wrap a process; :func:`start` starts it."""
        self.name = name
        self.folder = folder
        self._process = process
        self._printed = printed

    def __repr__(self) -> str:
        return f"<run {self.name}: {'in progress' if self.in_progress else f'ended ({self._process.returncode})'}>"

    @property
    def in_progress(self) -> bool:
        """Whether the command still works on it."""
        return self._process.poll() is None

    @property
    def output(self) -> str:
        """What the command has printed so far."""
        self._printed.seek(0)
        return self._printed.read().decode(errors="replace")

    def status(self) -> Mapping[str, Any]:
        """How far it is, as ``fedsim-provision status --json`` says: ``state``, ``round``, ``results``, ``devices``.

        Raises:
            FedsimError: the lab host does not answer.
        """
        try:
            return status_of(self.name, self.folder.parent)
        except FedsimError as error:
            if error.exit is not Exit.SPEC:
                raise
            # It is not known yet, or it ended before anything was made.
            return {"run": self.name, "state": "starting" if self.in_progress else "failed"}

    def wait(self, timeout: float | None = None, check: bool = True) -> Run:
        """Wait for its end, and open it. Interrupting the wait leaves the run alone; :meth:`stop` ends it.

        Args:
            timeout: seconds after which to wait no longer; None: wait for ever.
            check: whether a run that did not finish is an error. Without a run folder it always is.

        Raises:
            TimeoutError: it is still in progress.
            RunFailedError: it did not finish.
        """
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"run {self.name} is still in progress after {timeout:g} s") from error
        # With exit code 2 nothing was started; a folder of this name is another run's.
        left = open_run(self.folder) if code != Exit.SPEC and is_run_folder(self.folder) else None
        if left is not None and (code == Exit.DONE or not check):
            return left
        reason = left.reason if left is not None else None
        failure = RunFailedError(f"run {self.name} ended with exit code {code}: {reason or self._last_lines()}")
        failure.run = left
        with suppress(ValueError):  # killed
            failure.exit = Exit(code)
        raise failure

    def __await__(self) -> Generator[Any, None, Run]:
        return asyncio.to_thread(self.wait).__await__()

    def stop(self, timeout: float | None = None) -> None:
        """End it as Ctrl-C does: what it has is collected, and its testbed is removed. Safe to call twice.

        Raises:
            TimeoutError: it has not ended after ``timeout`` seconds.
        """
        if self.in_progress:
            self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"run {self.name} has not ended after {timeout:g} s") from error

    def _last_lines(self) -> str:
        return "\n".join(self.output.strip().splitlines()[-_LAST_LINES:])


def start(
    experiment: str | PathLike[str],
    *,
    docker: bool = True,
    name: str | None = None,
    runs_dir: str | PathLike[str] = "runs",
    keep: bool = False,
    options: Sequence[str] = (),
) -> StartedRun:
    """Start a run and return at once, when its experiment file has been checked.

    Args:
        experiment: the experiment file.
        docker: False: plain processes on this machine, without limits and links.
        name: name of the run; None: made from experiment and time.
        runs_dir: where run folders are created.
        keep: leave the testbed up at the end.
        options: further options of ``fedsim-provision run``: ``["--target", "0.9"]``.

    Raises:
        FedsimError: the experiment file has mistakes, or the name is not valid; or an option is not for one run.
    """
    for option in options:
        if (instead := _NOT_FOR_ONE_RUN.get(option.partition("=")[0])) is not None:
            raise FedsimError(f"{option} is not an option here", Exit.SPEC, hint=instead)
    spec, folder = Path(experiment), Path(runs_dir).absolute()
    try:
        title = load_experiment(spec, limits=docker).name
    except SpecErrors as errors:
        raise errors.counted(str(spec)) from errors
    except OSError as error:
        raise FedsimError(f"{spec}: {error.strerror}", Exit.SPEC) from error
    chosen = _unused_name(title, folder) if name is None else check_run(name, RUN_NAME)
    words = [str(spec.absolute()), "--run", chosen, "--runs-dir", str(folder)]
    words += [*(() if docker else ("--no-docker",)), *(("--keep",) if keep else ()), *options]
    # Not a pipe: the run goes on when nobody reads.
    printed = tempfile.TemporaryFile()  # noqa: SIM115 - deleted when both processes have closed it
    process = subprocess.Popen(
        # Without -P a file in the notebook's folder could take the place of a module.
        [sys.executable, "-P", "-m", "fedsim_runner", "run", *words],
        stdin=subprocess.DEVNULL,
        stdout=printed,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # interrupting a cell interrupts that cell alone
    )
    return StartedRun(chosen, folder / chosen, process, printed)


def run(
    experiment: str | PathLike[str],
    *,
    docker: bool = True,
    name: str | None = None,
    runs_dir: str | PathLike[str] = "runs",
    keep: bool = False,
    options: Sequence[str] = (),
) -> Run:
    """Start a run, wait for its end and open it; interrupting it ends the run. Arguments as for :func:`start`.

    Raises:
        FedsimError: nothing was started.
        RunFailedError: it did not finish.
    """
    started = start(experiment, docker=docker, name=name, runs_dir=runs_dir, keep=keep, options=options)
    try:
        return started.wait()
    except BaseException:
        started.stop()
        raise


def _unused_name(title: str, folder: Path) -> str:
    """A name that no other run in the folder has, also none that was started a moment ago."""
    name = chosen = new_run_id(title, time.time())
    numbers = itertools.count(2)
    while folder / chosen in _STARTED or (folder / chosen).exists():
        chosen = f"{name}-{next(numbers)}"
    _STARTED.add(folder / chosen)
    return chosen
