"""The verb logs: print the participants' logs."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from fedsim_runner.contract.errors import Exit
from fedsim_runner.runs.labs import LabOptions

from ..app import RunArgument, app, out, print_errors
from ..lab_options import on_a_lab

# Colours to distinguish devices; red is for errors.
NAME_STYLES = ("cyan", "green", "yellow", "blue", "magenta", "bright_cyan", "bright_green", "bright_blue")


@app.command()
@on_a_lab
def logs(
    run: RunArgument,
    devices: Annotated[
        list[str] | None, typer.Argument(metavar="DEVICE", help="Devices to show; all if left out.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Follow until the course ends, or Ctrl-C.")] = False,
    tail: Annotated[int, typer.Option("--tail", "-n", min=0, help="Only the last N lines of each device; 0: all.")] = 0,
    *,
    lab: LabOptions,
) -> int:
    """Print the participants' logs, from their containers or from the run folder."""
    from fedsim_runner.runs.device_logs import log_lines

    names, lines, silent = log_lines(run, devices or [], follow, tail, lab=lab)
    print_errors(silent)
    console = out()
    width = max(map(len, names))
    styles = {name: NAME_STYLES[number % len(NAME_STYLES)] for number, name in enumerate(names)}
    try:
        for line in lines:
            prefix = (f"{line.device:<{width}} | ", styles[line.device]) if len(names) > 1 else ""
            console.print(Text.assemble(prefix, line.text), soft_wrap=True, highlight=False, emoji=False)
    except KeyboardInterrupt:
        if not follow:
            raise
    return Exit.LAB if silent else Exit.DONE
