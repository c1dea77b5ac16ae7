"""Verbs that take an experiment file, or the folder of a run: run, rerun, plan, up, inventory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..console.plan_view import render_plan
from ..contract.errors import Exit, FedsimError
from ..inventory import build_inventory, write_inventory
from ..plan import plan_as_dict
from ..runs.lifecycle import provision, run_experiment
from ..runs.options import DEFAULT_RUNS_DIR, RunOptions
from ..runs.planning import plan_only
from ..runs.rerun import open_original
from ..runs.rerun import rerun as repeat
from ..testbed.installed import DEFAULT, find_testbed
from .app import (
    DevicesOption,
    ImageBaseOption,
    JsonOption,
    RunNameOption,
    RunsDirOption,
    SpecArgument,
    UnshapedOption,
    app,
    load,
    out,
    print_json,
)

# What --no-docker means.
PROCESSES = "processes"


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
    """The whole way: plan, provision, course, collect, tear down, report."""
    experiment = load(spec)
    options = RunOptions(run_name, runs_dir, keep, allow_unshaped, image_base)
    console = out(stderr=as_json)
    code, report = run_experiment(experiment, options, console, find_testbed(PROCESSES if no_docker else DEFAULT))
    if as_json:
        print_json(report)
    return code


@app.command()
def rerun(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder of the run, or its name.", show_default=False)],
    keep: Annotated[bool, typer.Option("--keep", help="Leave the testbed up afterwards.")] = False,
    no_docker: Annotated[
        bool, typer.Option("--no-docker", help="As plain processes, whatever the run was; one that was stays so.")
    ] = False,
    allow_unshaped: UnshapedOption = False,
    image_base: ImageBaseOption = None,
    runs_dir: RunsDirOption = DEFAULT_RUNS_DIR,
    run_name: RunNameOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON; progress to stderr.")] = False,
) -> int:
    """Repeat a run from its folder alone, and say how far the two differ."""
    original = open_original(run, runs_dir)
    options = RunOptions(run_name, runs_dir, keep, allow_unshaped, image_base)
    console = out(stderr=as_json)
    testbed = find_testbed(PROCESSES if no_docker else original.testbed)
    code, report = repeat(original, options, console, testbed)
    if as_json:
        print_json(report)
    return code


@app.command()
def plan(spec: SpecArgument, as_json: JsonOption = False) -> int:
    """Print devices, addresses, limits, links and the cpu factor; touch nothing."""
    made = plan_only(load(spec), find_testbed())
    if as_json:
        print_json(plan_as_dict(made))
    else:
        out().print(render_plan(made))
    return Exit.DONE


@app.command()
def up(
    spec: SpecArgument,
    keep: Annotated[bool, typer.Option("--keep", help="Leave what is there if provisioning fails.")] = False,
    allow_unshaped: UnshapedOption = False,
    image_base: ImageBaseOption = None,
    devices: DevicesOption = None,
    runs_dir: RunsDirOption = DEFAULT_RUNS_DIR,
    run_name: RunNameOption = None,
) -> int:
    """Provision and stop at the gate; a second `up --run NAME` changes only what differs."""
    options = RunOptions(run_name, runs_dir, keep, allow_unshaped, image_base, devices)
    return provision(load(spec), options, out(), find_testbed())


@app.command()
def inventory(
    spec: SpecArgument,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder to write.")],
    run_name: RunNameOption = None,
) -> int:
    """Write the inventory and the device files for plain Ansible."""
    made = plan_only(load(spec), find_testbed(), run_name)
    try:
        hosts_file = write_inventory(build_inventory(made), output)
    except OSError as error:
        raise FedsimError(f"{output}: {error.strerror}", Exit.SPEC) from error
    out().print(f"{hosts_file}: {len(made.placed)} devices, run {made.run}", highlight=False)
    return Exit.DONE
