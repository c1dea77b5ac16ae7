"""The verb init: write an experiment file around a FederatedScope YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedsim_runner.contract.errors import Exit, FedsimError

from ..app import app, load, out


@app.command()
def init(
    config: Annotated[
        Path, typer.Argument(metavar="MY.FS.YAML", help="A configuration of FederatedScope.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="EXP.YAML", help="File to write, in the current folder if left out."),
    ] = None,
    clients: Annotated[
        int | None, typer.Option("--clients", min=1, metavar="N", help="Number of clients, instead of the file's.")
    ] = None,
    client_cfg: Annotated[
        Path | None,
        typer.Option(
            "--client-cfg", metavar="FILE", help="Settings per client, as for FederatedScope's option of this name."
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--source",
            metavar="FEDERATEDSCOPE",
            help="The FederatedScope that has its keys and names: a fork's checkout, wheel, git+ URL or requirement. "
            "Left out: the checkout that the YAML is in, else the one in use.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> int:
    """Write an experiment file around a FederatedScope YAML, ready to run."""
    from fedsim_runner.runs.new_experiment import default_output, experiment_around, refuse_what_cannot_run

    target = default_output(config) if output is None else output
    if target.exists() and (not force or target.resolve() == config.resolve()):
        hint = "name another with --output" + ("" if target.resolve() == config.resolve() else ", or use --force")
        raise FedsimError(f"{target} is there already", Exit.SPEC, hint=hint)
    made = experiment_around(config, client_cfg, clients, target.parent, source)
    try:
        target.write_text(made.text, encoding="utf-8")
    except OSError as error:
        raise FedsimError(f"{target}: {error.strerror}", Exit.SPEC) from error
    console = out()
    for line in (f"{target}: written", *made.remarks):
        console.print(line, markup=False, highlight=False)
    refuse_what_cannot_run(load(target))
    console.print(f"fedsim-provision {target} runs it", markup=False, highlight=False)
    return Exit.DONE
