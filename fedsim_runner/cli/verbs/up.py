"""The verb up: only provision."""

from __future__ import annotations

from typing import Annotated

import typer

from fedsim_runner.runs.labs import LabOptions
from fedsim_runner.runs.options import DEFAULT_RUNS_DIR, RunOptions

from ..app import (
    DevicesOption,
    ImageBaseOption,
    RunNameOption,
    RunsDirOption,
    SpecArgument,
    UnshapedOption,
    app,
    load,
    out,
)
from ..lab_options import on_a_lab


@app.command()
@on_a_lab
def up(
    spec: SpecArgument,
    keep: Annotated[bool, typer.Option("--keep", help="Keep what exists if provisioning fails.")] = False,
    allow_unshaped: UnshapedOption = False,
    image_base: ImageBaseOption = None,
    devices: DevicesOption = None,
    runs_dir: RunsDirOption = DEFAULT_RUNS_DIR,
    run_name: RunNameOption = None,
    *,
    lab: LabOptions,
) -> int:
    """Provision and stop at the gate; a second `up --run NAME` changes only what differs."""
    from fedsim_runner.runs.labs import choose_lab
    from fedsim_runner.runs.lifecycle import provision
    from fedsim_runner.testbed.installed import find_testbed

    experiment = load(spec)
    testbed, inventory = choose_lab(find_testbed(), lab)
    options = RunOptions(run_name, runs_dir, keep, allow_unshaped, image_base, devices, lab=inventory)
    return provision(experiment, options, out(), testbed)
