"""The verb collect: fetch the files of a run that is up."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from fedsim_runner.contract.errors import Exit
from fedsim_runner.runs.labs import LabOptions

from ..app import JsonOption, RunArgument, app, out, print_json
from ..lab_options import on_a_lab


@app.command()
@on_a_lab
def collect(
    run: RunArgument,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Folder to write to instead of the run folder.")
    ] = None,
    as_json: JsonOption = False,
    *,
    lab: LabOptions,
) -> int:
    """Fetch logs, journal and samples of a run that is up, and write its report."""
    from fedsim_runner.results import render_summary
    from fedsim_runner.runs.collect_outputs import collect_run, collect_sweep
    from fedsim_runner.runs.sweeps.folder import find_sweep

    if (sweep := find_sweep(run)) is not None:
        return _sweep(collect_sweep(sweep, out(stderr=as_json), output, lab), as_json)
    report, folder = collect_run(run, out(stderr=as_json), output, lab)
    if as_json:
        print_json(report)
    else:
        out().print(render_summary(report, folder))
    return Exit.DONE


def _sweep(collected: Mapping[Path, Mapping[str, Any]], as_json: bool) -> int:
    """The runs of a sweep that are up, by their folders."""
    from fedsim_runner.results import render_summary

    if as_json:
        print_json(list(collected.values()))
    else:
        for folder, report in collected.items():
            out().print(render_summary(report, folder))
    return Exit.DONE
