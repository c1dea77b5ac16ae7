"""The verb up: only provision."""

from __future__ import annotations

from typing import Annotated

import typer

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


@app.command()
def up(
    spec: SpecArgument,
    keep: Annotated[bool, typer.Option("--keep", help="Keep what exists if provisioning fails.")] = False,
    allow_unshaped: UnshapedOption = False,
    image_base: ImageBaseOption = None,
    devices: DevicesOption = None,
    runs_dir: RunsDirOption = DEFAULT_RUNS_DIR,
    run_name: RunNameOption = None,
) -> int:
    """Provision and stop at the gate; a second `up --run NAME` changes only what differs."""
    from fedsim_runner.runs.lifecycle import provision
    from fedsim_runner.testbed.installed import find_testbed

    options = RunOptions(run_name, runs_dir, keep, allow_unshaped, image_base, devices)
    return provision(load(spec), options, out(), find_testbed())
