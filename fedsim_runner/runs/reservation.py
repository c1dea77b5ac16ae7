"""Reserving a run: its name on this machine and on its testbed, and then its folder. Nothing is written before."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..contract.claim import RunBusyError
from ..contract.errors import Exit, FedsimError
from ..contract.names import check_run
from ..testbed.protocol import Testbed
from .folder import RUN_NAME, make_new_folder, make_or_reuse_folder, new_run_id
from .hold import hold_alone
from .options import RunOptions


@dataclass(frozen=True)
class Reserved:
    """A run that nobody else works on. ``is_new``: its folder was made for it."""

    run: str
    folder: Path
    is_new: bool


@contextmanager
def reserve_run(options: RunOptions, experiment: str, now: float, testbed: Testbed) -> Iterator[Reserved]:
    """Hold the run that the options name, or one with a new name; make its folder.

    Args:
        options: the options of the run.
        experiment: the experiment's name.
        now: the current time in Unix seconds.
        testbed: where the run is to be.

    Raises:
        RunBusyError: another process works on the run of this name.
        RunNameError: the name is wrong, or taken by a run that has results.
        FedsimError: the folder cannot be made.
    """
    with ExitStack() as held:
        try:
            if options.run is None:
                reserved = _reserve_new(options.runs_dir, new_run_id(experiment, now), testbed, held)
            else:
                run = check_run(options.run, RUN_NAME)
                held.enter_context(hold_alone(run, testbed))
                folder, is_new = make_or_reuse_folder(options.runs_dir, run)
                reserved = Reserved(run, folder.resolve(), is_new)
        except OSError as error:
            raise FedsimError(f"run folder in {options.runs_dir}: {error.strerror}", Exit.SPEC) from error
        yield reserved


def _reserve_new(runs_dir: Path, name: str, testbed: Testbed, held: ExitStack) -> Reserved:
    """With a suffix if another run began in the same second, here or in another folder of runs."""
    for number in itertools.count(1):
        run = name if number == 1 else f"{name}-{number}"
        with ExitStack() as attempt:
            try:
                attempt.enter_context(hold_alone(run, testbed))
                folder = make_new_folder(runs_dir, run)
            except (RunBusyError, FileExistsError):
                continue
            held.push(attempt.pop_all())
            return Reserved(run, folder.resolve(), is_new=True)
    raise AssertionError("numbers do not end")
