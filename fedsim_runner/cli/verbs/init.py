"""The verb init: write an experiment file around a FederatedScope YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedsim_runner.contract.errors import Exit, FedsimError

from ..app import app, load, out


@app.command()
def init(
    configs: Annotated[
        list[Path],
        typer.Argument(
            metavar="MY.FS.YAML...",
            help="A configuration of FederatedScope, or one per participant as in its distributed mode: the server's "
            "(distribute.role) and the clients' in their order.",
            show_default=False,
        ),
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

    if len(configs) > 1 and (clients is not None or client_cfg is not None):
        option = "--clients" if clients is not None else "--client-cfg"
        raise FedsimError(f"{option} is for one configuration: of several, each is one participant's", Exit.SPEC)
    made = experiment_around(configs, client_cfg, clients, (output or Path()).parent, source)
    target = default_output(made.config) if output is None else output
    own = target.resolve() in [config.resolve() for config in configs]
    if target.exists() and (not force or own):
        raise FedsimError(
            f"{target} is there already",
            Exit.SPEC,
            hint="name another with --output" + ("" if own else ", or use --force"),
        )
    for path in made.made_up:
        if path.exists() and not force:
            raise FedsimError(f"{path}, where made-up data would be, is there already", Exit.SPEC, hint="use --force")
    try:
        target.write_text(made.text, encoding="utf-8")
    except OSError as error:
        raise FedsimError(f"{target}: {error.strerror}", Exit.SPEC) from error
    for path, data in made.made_up.items():
        data.write(path)
    console = out()
    for line in (f"{target}: written", *made.remarks):
        console.print(line, markup=False, highlight=False)
    refuse_what_cannot_run(load(target))
    console.print(f"fedsim-provision {target} runs it", markup=False, highlight=False)
    return Exit.DONE
