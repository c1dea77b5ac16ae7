"""The verb inventory: write the files that plain Ansible reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.contract.units import counted
from fedsim_runner.runs.labs import LabOptions

from ..app import (
    RunNameOption,
    SpecArgument,
    app,
    load,
    out,
)
from ..lab_options import on_a_lab


@app.command()
@on_a_lab
def inventory(
    spec: SpecArgument,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder to write.")],
    run_name: RunNameOption = None,
    *,
    lab: LabOptions,
) -> int:
    """Write the inventory and the device files for plain Ansible."""
    from fedsim_runner.inventory import build_inventory, write_inventory
    from fedsim_runner.runs.labs import choose_lab
    from fedsim_runner.runs.planning import plan_only
    from fedsim_runner.testbed.installed import find_testbed

    testbed, _ = choose_lab(find_testbed(), lab)
    made = plan_only(load(spec), testbed, run_name)
    try:
        hosts_file = write_inventory(build_inventory(made), output)
    except OSError as error:
        raise FedsimError(f"{output}: {error.strerror}", Exit.SPEC) from error
    out().print(f"{hosts_file}: {counted(len(made.placed), 'device')}, run {made.run}", markup=False, highlight=False)
    return Exit.DONE
