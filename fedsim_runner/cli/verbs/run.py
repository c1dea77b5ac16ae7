"""The verb run: everything from an experiment file to a report."""

from __future__ import annotations

from typing import Annotated

import typer

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


@app.command()
def run(
    spec: SpecArgument,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the testbed up afterwards.")] = False,
    no_docker: Annotated[
        bool, typer.Option("--no-docker", help="The same course as plain processes here: no limits, no links.")
    ] = False,
    allow_unshaped: UnshapedOption = False,
    image_base: ImageBaseOption = None,
    runs_dir: RunsDirOption = DEFAULT_RUNS_DIR,
    run_name: RunNameOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON; progress to stderr.")] = False,
) -> int:
    """Do everything: plan, provision, course, collect, tear down, report."""
    from fedsim_runner.runs.lifecycle import run_experiment
    from fedsim_runner.testbed.installed import DEFAULT, find_testbed

    experiment = load(spec)
    options = RunOptions(run_name, runs_dir, keep, allow_unshaped, image_base)
    console = out(stderr=as_json)
    code, report = run_experiment(experiment, options, console, find_testbed(NO_DOCKER if no_docker else DEFAULT))
    if as_json:
        print_json(report)
    return code
