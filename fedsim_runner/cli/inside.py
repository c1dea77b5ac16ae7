"""The verb exec: a command inside a device."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Annotated

import typer

from ..contract.errors import Exit, FedsimError
from ..runs.lookup import find_run
from ..testbed.docker.engine import lab_engine
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
    with lab_engine(timeout_s=3600) as engine:
        containers = engine.containers(run, "device")
        item = containers.get(device)
        if item is None:
            there = f"it has {', '.join(sorted(containers))}" if containers else "it has no containers here"
            raise FedsimError(f"run {run} has no device {device}: {there}", Exit.SPEC)
        if item["State"] != "running":
            raise FedsimError(f"device {device} does not run (its container is {item['State']})", Exit.SPEC)
        docker = shutil.which("docker")
        if docker is not None:
            terminal = "-it" if sys.stdin.isatty() and sys.stdout.isatty() else "-i"
            sys.stdout.flush()
            os.execv(docker, ["docker", "exec", terminal, item["Id"], *words])
        # Without the docker program: no terminal and no standard input.
        created = engine.client.api.exec_create(item["Id"], words)
        for output, errors in engine.client.api.exec_start(created["Id"], stream=True, demux=True):
            if output:
                sys.stdout.buffer.write(output)
                sys.stdout.flush()
            if errors:
                sys.stderr.buffer.write(errors)
                sys.stderr.flush()
        return int(engine.client.api.exec_inspect(created["Id"])["ExitCode"] or 0)
