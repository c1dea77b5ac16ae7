"""Verbs that end a run: collect, down."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..contract.errors import Exit, FedsimError
from ..results import render_summary
from ..runs.collection import collect_run
from ..runs.removal import remove_all, remove_run
from .app import JsonOption, RunArgument, app, out, print_json


@app.command()
def collect(
    run: RunArgument,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Folder to fill instead of the run folder.")
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Fetch logs, journal and samples of a run that is up, and write its report."""
    report, folder = collect_run(run, out(stderr=as_json), output)
    if as_json:
        print_json(report)
    else:
        out().print(render_summary(report, folder))
    return Exit.DONE


@app.command()
def down(
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="Name of the run.", show_default=False)] = None,
    every: Annotated[bool, typer.Option("--all", help="All runs that no living process works on.")] = False,
) -> int:
    """Remove everything a run has on the lab host, also without its run folder; twice is safe."""
    if every == (run is not None):
        raise FedsimError("name one RUN, or ask for --all", Exit.SPEC)
    return remove_all(out()) if run is None else remove_run(run, out())
