"""The verb exec: a command inside a device."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ..contract.errors import Exit, FedsimError
from ..runs.lookup import find_run
from ..testbed.docker.engine import lab_engine
from ..testbed.docker.exec_session import Streams, run_inside
from .app import RunArgument, app

DEFAULT_COMMAND = ("/bin/sh",)


@app.command(name="exec", context_settings={"ignore_unknown_options": True})
def exec_(
    run: RunArgument,
    device: Annotated[str, typer.Argument(metavar="DEVICE", help="The device.", show_default=False)],
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="COMMAND", help="The command, behind -- if it has options; a shell if left out.", show_default=False
        ),
    ] = None,
) -> int:
    """Run a command inside a device, with its limits and its links; the exit code is the command's."""
    find_run(run)
    words = list(command or DEFAULT_COMMAND)
    with lab_engine() as engine:
        containers = engine.containers(run, "device")
        item = containers.get(device)
        if item is None:
            there = f"it has {', '.join(sorted(containers))}" if containers else "it has no containers here"
            raise FedsimError(f"run {run} has no device {device}: {there}", Exit.SPEC)
        if item["State"] != "running":
            raise FedsimError(f"device {device} does not run (its container is {item['State']})", Exit.SPEC)
        sys.stdout.flush()
        return run_inside(engine.client.api, item["Id"], words, Streams.own())
