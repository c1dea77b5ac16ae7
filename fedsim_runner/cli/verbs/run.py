"""The verb run: everything from an experiment file to a report; and sweeps, which are many runs of one file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.runs.labs import LabOptions
from fedsim_runner.runs.options import DEFAULT_RUNS_DIR, RunOptions

from ..app import (
    NO_DOCKER,
    ImageBaseOption,
    RunNameOption,
    RunsDirOption,
    SpecArgument,
    UnshapedOption,
    app,
    load,
    out,
    print_json,
)
from ..lab_options import on_a_lab


@app.command()
@on_a_lab
def run(
    spec: SpecArgument,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the testbed up at the end.")] = False,
    no_docker: Annotated[
        bool, typer.Option("--no-docker", help="The same course as plain processes here: no limits, no links.")
    ] = False,
    allow_unshaped: UnshapedOption = False,
    image_base: ImageBaseOption = None,
    runs_dir: RunsDirOption = DEFAULT_RUNS_DIR,
    run_name: RunNameOption = None,
    seeds: Annotated[
        str | None,
        typer.Option("--seeds", metavar="N,N,...", help="A run with each of these seeds, and one report of all."),
    ] = None,
    grid: Annotated[
        list[str] | None,
        typer.Option(
            "--grid",
            metavar="KEY=VALUE,VALUE,...",
            help="A run with each of these values of a key of the experiment, and one report of all; several --grid: "
            "all combinations.",
        ),
    ] = None,
    target: Annotated[
        float | None,
        typer.Option(
            "--target",
            metavar="ACCURACY",
            help="End the course at the first evaluation that reaches this accuracy (course.target).",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON; progress to stderr.")] = False,
    *,
    lab: LabOptions,
) -> int:
    """Do everything: plan, provision, course, collect, tear down, report. With --seeds or --grid, for each of the runs.

    An interrupted sweep is resumed with the same options and --run NAME.
    """
    from fedsim_runner.runs.labs import choose_lab
    from fedsim_runner.runs.lifecycle import run_experiment
    from fedsim_runner.testbed.installed import DEFAULT, find_testbed

    console = out(stderr=as_json)
    testbed, inventory = choose_lab(find_testbed(NO_DOCKER if no_docker else DEFAULT), lab)
    options = RunOptions(run_name, runs_dir, keep, allow_unshaped, image_base, lab=inventory)
    if seeds is None and not grid:
        from fedsim_runner.runs.sweeps.members import target_override

        experiment = load(spec, () if target is None else (target_override(target),), testbed.traits.limits)
        code, report = run_experiment(experiment, options, console, testbed)
    else:
        from fedsim_runner.runs.sweeps.members import read_request
        from fedsim_runner.runs.sweeps.start import run_sweep

        if keep:
            raise FedsimError("--keep: the runs of a sweep follow each other, so no testbed stays up", Exit.SPEC)
        request = read_request(seeds, grid or (), target)
        words = _words(spec, seeds, grid or (), target, no_docker, options)
        code, report = run_sweep(spec, request, options, console, testbed, words)
    if as_json:
        print_json(report)
    return code


def _words(
    spec: Path, seeds: str | None, grid: Sequence[str], target: float | None, no_docker: bool, options: RunOptions
) -> list[str]:
    """The words of the command that executes this sweep, without its name."""
    words = ["fedsim-provision", "run", str(spec), *([] if seeds is None else ["--seeds", seeds])]
    for one in grid:
        words += ["--grid", one]
    words += [] if target is None else ["--target", str(target)]
    return [*words, *["--no-docker"] * no_docker, *options.words]
