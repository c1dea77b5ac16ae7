"""Repeating a sweep from its folder alone: each of its runs is repeated, as a new sweep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from rich.console import Console

from ...contract.errors import Exit, FedsimError
from ...testbed.protocol import Testbed
from ..options import RunOptions
from ..repetition.rerun import Original, open_original, rerun
from .execution import Compared, Schedule, ScheduledRun, execute_sweep
from .folder import Sweep
from .members import short_key, shown


def rerun_sweep(
    sweep: Sweep,
    options: RunOptions,
    console: Console,
    testbed_of: Callable[[str], Testbed],
    command: Sequence[str],
    trust: bool = False,
) -> tuple[Exit, Compared]:
    """Repeat the runs of a sweep that have begun; see :func:`~fedsim_runner.runs.sweeps.execution.execute_sweep`.

    Args:
        testbed_of: returns the testbed for a run that was on the kind of this name.
        command: the words of the command that repeats it.
        trust: as for one run.

    Raises:
        FedsimError: nothing was started: no run has begun, or a folder is incomplete or damaged.
    """
    begun = [one for one in sweep.runs if one.begun]
    if not begun:
        raise FedsimError(f"no run of sweep {sweep.name} ({sweep.folder}) has begun: nothing to repeat", Exit.SPEC)
    originals = [open_original(str(one.folder)) for one in begun]

    def execute(original: Original, own_options: RunOptions) -> Exit:
        return rerun(original, own_options, console, testbed_of(original.testbed), trust)[0]

    runs = [
        ScheduledRun(
            one.run.removeprefix(f"{sweep.name}-"),
            one.varied,
            ", ".join(f"{short_key(key)}={shown(value)}" for key, value in one.varied.items()),
            partial(execute, original),
        )
        for one, original in zip(begun, originals, strict=True)
    ]
    testbed = testbed_of(originals[0].testbed)
    schedule = Schedule(sweep.experiment, {"repeats": sweep.name}, runs, testbed, command)
    return execute_sweep(schedule, options, console)
