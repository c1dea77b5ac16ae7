"""The verb down: remove a run."""

from __future__ import annotations

from typing import Annotated

import typer

from fedsim_runner.console.standard_stream import outlived
from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.runs.labs import LabOptions

from ..app import app, out
from ..lab_options import on_a_lab


@app.command()
@on_a_lab
def down(
    run: Annotated[
        str | None, typer.Argument(metavar="RUN", help="Name of the run, or of a sweep.", show_default=False)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All runs but those that another process works on.")] = False,
    *,
    lab: LabOptions,
) -> int:
    """Remove everything a run has on the lab host, even without its run folder; safe to repeat."""
    from fedsim_runner.runs.removal import remove_all, remove_run, remove_sweep
    from fedsim_runner.runs.sweeps.folder import find_sweep, refuse_lost_sweep

    if every == (run is not None):
        raise FedsimError("name one RUN, or ask for --all", Exit.SPEC)
    console = out()
    with outlived(console.file):  # what is to be removed is removed, whoever may read about it
        if run is None:
            return remove_all(console, lab)
        if (sweep := find_sweep(run)) is not None:
            return remove_sweep(sweep, console, lab)
        refuse_lost_sweep(run)
        return remove_run(run, console, lab=lab)
