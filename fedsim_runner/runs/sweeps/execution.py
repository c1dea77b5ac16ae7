"""Executing the runs of a sweep one after another, each a run like any other; what has finished is not repeated."""

from __future__ import annotations

import itertools
import json
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from ...console.interrupts import Interrupts
from ...contract.atomic import explain
from ...contract.claim import RunBusyError
from ...contract.errors import Exit, FedsimError
from ...contract.names import RUN_LENGTH, RunNameError, check_run
from ...results.comparison.groups import compare_runs
from ...results.comparison.page import publish_comparison, render_comparison
from ...testbed.protocol import Testbed
from ..active_run import now
from ..folder import RUN_NAME, give_to_user, new_run_id
from ..hold import end_orphans, hold, hold_alone
from ..options import RunOptions
from .folder import UNFINISHED, Sweep, SweepRun, is_sweep_folder, read_sweep, sweeps
from .members import SUFFIX_LENGTH

# A failed course says something about one point; after any other failure the next run would fail as well.
GOES_ON_AFTER = (Exit.DONE, Exit.COURSE)
_CHANGED = {
    "inputs_sha256": "the experiment file, or one that it names, has changed",
    "grid": "--grid is another, or in another order",
    "target": "--target is another",
    "repeats": "another sweep is repeated",
    "testbed": "it was executed on another testbed (--no-docker)",
}
Compared = dict[str, Any]


@dataclass(frozen=True)
class ScheduledRun:
    """One run of a sweep: ``suffix`` is what its name adds to the sweep's, ``execute`` executes it."""

    suffix: str
    varied: Mapping[str, Any]
    described: str
    execute: Callable[[RunOptions], Exit]


@dataclass(frozen=True)
class Schedule:
    """What a sweep is to execute.

    Attributes:
        asked: what makes it the same sweep when it is resumed.
        testbed: where it is executed.
        command: the words of the command that executes it; with ``--run NAME`` behind them, it resumes it.
    """

    experiment: str
    asked: Mapping[str, Any]
    runs: Sequence[ScheduledRun]
    testbed: Testbed
    command: Sequence[str]


def execute_sweep(schedule: Schedule, options: RunOptions, console: Console) -> tuple[Exit, Compared]:
    """Execute all runs of a sweep that have not finished, and compare all. Prints progress; leaves the sweep's folder.

    Returns the worst exit code of its runs, and the comparison: empty if the sweep was interrupted.

    Raises:
        FedsimError: nothing was started (another process executes the sweep, or the name is taken), or what a run
            needs is not there.
    """
    with _hold_name(options, schedule.experiment) as name:
        sweep = _prepare(name, options.runs_dir / name, schedule)
        try:
            with suppress(OSError):  # other shells then need its folder to find it
                sweeps().record(name, sweep.folder, schedule.testbed.traits.name, (), "sweep")
            code = _execute(sweep, schedule, options, console)
            compared = report_sweep(sweep, console) if code in GOES_ON_AFTER else {}
            if code is not Exit.DONE:
                console.print(_what_next(sweep, schedule), markup=False, highlight=False)
            return code, compared
        except (FedsimError, KeyboardInterrupt):
            console.print(_what_next(sweep, schedule), markup=False, highlight=False)
            raise
        finally:
            give_to_user(sweep.folder)


def report_sweep(sweep: Sweep, console: Console) -> Compared:
    """Compare the runs of a sweep that have begun, in its folder, and print the comparison.

    Raises:
        FedsimError: the folder cannot be written.
    """
    compared = compare_runs([one.folder for one in sweep.runs if one.begun])
    try:
        page = publish_comparison(compared, sweep.folder)
    except OSError as error:
        raise FedsimError(explain(error, Path(error.filename or sweep.folder)), Exit.COURSE) from error
    console.print(render_comparison(compared, page))
    return compared


@contextmanager
def _hold_name(options: RunOptions, experiment: str) -> Iterator[str]:
    """Hold the name of a sweep: that of the options, or a new one.

    Raises:
        RunBusyError: another process executes the sweep of this name.
        RunNameError: the name is wrong.
    """
    longest = RUN_LENGTH - SUFFIX_LENGTH
    if options.run is not None:
        name = check_run(options.run, RUN_NAME)
        if len(name) > longest:
            raise RunNameError(f"--run {name}: of a sweep at most {longest} characters, as its runs' names add theirs")
        with hold(name):
            yield name
        return
    begin, stamp = new_run_id(experiment, now()).rsplit("-", 1)
    for number in itertools.count(1):  # another sweep may have begun in the same second
        end = stamp if number == 1 else f"{stamp}-{number}"
        name = f"{begin[: longest - len(end) - 1].rstrip('-')}-{end}"
        with ExitStack() as held:
            try:
                held.enter_context(hold(name))
            except RunBusyError:
                continue
            if not (options.runs_dir / name).exists():
                yield name
                return


def _prepare(name: str, folder: Path, schedule: Schedule) -> Sweep:
    """Make the folder of a new sweep, or take that of one which is to be resumed.

    Raises:
        FedsimError: the name is taken by a run or by another sweep, or the folder cannot be written.
    """
    asked = {**schedule.asked, "testbed": schedule.testbed.traits.name}
    try:
        if is_sweep_folder(folder):
            _refuse_another(read_sweep(folder), name, asked)
        elif folder.exists():
            raise RunNameError(f"{folder} is not the folder of a sweep: choose another --run, or remove it")
        folder.mkdir(parents=True, exist_ok=True)
        folder = folder.resolve()
        runs = tuple(
            SweepRun(run, folder / run, one.varied) for one in schedule.runs for run in [f"{name}-{one.suffix}"]
        )
        sweep = Sweep(name, folder, schedule.experiment, asked, runs)
        sweep.write()
    except OSError as error:
        raise FedsimError(f"{error.filename or folder}: {error.strerror}", Exit.SPEC) from error
    return sweep


def _refuse_another(known: Sweep, name: str, asked: Mapping[str, Any]) -> None:
    """A sweep is resumed with what it began with, also with its name; only seeds may be added.

    Raises:
        RunNameError: something else is asked for.
    """
    # As text: for Python, 1 and 1.0 and true are equal.
    different = [
        word for key, word in _CHANGED.items() if json.dumps(known.asked.get(key)) != json.dumps(asked.get(key))
    ]
    if known.name != name:
        different.append(f"its folder was that of {known.name}")
    before, seeds = known.asked.get("seeds", []), asked.get("seeds", [])
    missing = [str(seed) for seed in before if seed not in seeds]
    if missing:
        different.append(f"--seeds lacks {', '.join(missing)}")
    elif seeds and not before:
        different.append("it was without --seeds")
    if different:
        raise RunNameError(
            f"sweep {known.name} ({known.folder}) cannot be resumed: {'; '.join(different)}: choose another --run, or "
            "none"
        )


def _execute(sweep: Sweep, schedule: Schedule, options: RunOptions, console: Console) -> Exit:
    worst, scheduled = Exit.DONE, schedule.runs
    # Between two runs nothing is interrupted, and a run that begins knows of signals that came before it.
    with Interrupts(lambda _: None) as interrupts:
        for number, (one, planned) in enumerate(zip(sweep.runs, scheduled, strict=True), 1):
            if interrupts.count:
                return Exit.INTERRUPTED
            title = f"run {number} of {len(scheduled)}: {one.run} ({planned.described})"
            if one.finished:
                console.print(f"{title}: has finished before", markup=False, highlight=False)
                continue
            _set_aside(one, schedule.testbed, console)
            console.print(title, style="bold", markup=False, highlight=False)
            code = planned.execute(replace(options, run=one.run, runs_dir=sweep.folder, sweep=sweep.name))
            if code not in GOES_ON_AFTER:
                return code
            worst = max(worst, code)
        return Exit.INTERRUPTED if interrupts.count else worst


def _set_aside(one: SweepRun, testbed: Testbed, console: Console) -> None:
    """Keep what an attempt that did not finish has left, out of the way of the next one.

    Raises:
        FedsimError: another process works on the run, or the folder cannot be moved.
    """
    if not one.begun:
        return
    kept = one.folder.parent / UNFINISHED
    try:
        with hold_alone(one.run, testbed):
            end_orphans(one.run, console)  # they may still write to it
            kept.mkdir(exist_ok=True)
            places = (kept / f"{one.run}-{number}" for number in itertools.count(1))
            one.folder.rename(next(place for place in places if not place.exists()))
    except OSError as error:
        raise FedsimError(f"{one.folder} cannot be moved to {kept}: {error.strerror}", Exit.SPEC) from error


def _what_next(sweep: Sweep, schedule: Schedule) -> str:
    done = sum(one.finished for one in sweep.runs)
    again = shlex.join([*schedule.command, "--run", sweep.name])
    return f"sweep {sweep.name}: {done} of {len(sweep.runs)} runs have finished; resume with: {again}"
