"""The verb exec: run a command inside a device."""

from __future__ import annotations

from typing import Annotated

import typer

from fedsim_runner.runs.labs import LabOptions

from ..app import RunArgument, app
from ..lab_options import on_a_lab

DEFAULT_COMMAND = ("/bin/sh",)


@app.command(name="exec", context_settings={"ignore_unknown_options": True})
@on_a_lab
def exec_(
    run: RunArgument,
    device: Annotated[str, typer.Argument(metavar="DEVICE", help="The device.", show_default=False)],
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="COMMAND", help="The command, after -- if it has options; a shell if left out.", show_default=False
        ),
    ] = None,
    *,
    lab: LabOptions,
) -> int:
    """Run a command inside a device, with its limits and its links; the exit code is the command's."""
    from fedsim_runner.runs.lookup import find_run, testbed_of

    return testbed_of(find_run(run), lab).exec(run, device, list(command or DEFAULT_COMMAND))
