"""The command-line application: what all verbs share.

Modules of the verbs and this one are imported for every call, so what only one verb needs is imported where it is used.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import __version__
from ..console.safe_console import SafeConsole
from ..contract.errors import Exit, FedsimError
from ..runs.options import DEFAULT_RUNS_DIR

if TYPE_CHECKING:
    from ..spec.experiment import Experiment
    from ..yamlfile.overrides import Override

# The testbed that --no-docker means.
NO_DOCKER = "processes"
# Without a terminal nothing is wrapped: scripts expect whole lines.
PLAIN_WIDTH = 200

EPILOG = (
    "Exit codes: 0 done; 2 experiment file or command line; 3 the lab does not fit; 4 provisioning failed; "
    "5 the course failed or is incomplete; 6 links out of tolerance; 70 an error of fedsim-provision itself; "
    "74 standard output cannot be written; 130 interrupted; 141 standard output was closed (`| head`)."
)

app = typer.Typer(
    name="fedsim-provision",
    help="A testbed of simulated edge devices from one experiment file. "
    "`fedsim-provision EXP.YAML` is short for `fedsim-provision run EXP.YAML`.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

SpecArgument = Annotated[Path, typer.Argument(metavar="EXP.YAML", help="The experiment file.", show_default=False)]
RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="Name of the run, as `run` or `up` printed it.", show_default=False)
]
RunsDirOption = Annotated[Path, typer.Option("--runs-dir", metavar="DIR", help="Where run folders are created.")]
RunNameOption = Annotated[
    str | None,
    typer.Option("--run", metavar="NAME", help="Name of the run; made from experiment and time if left out."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print data instead of text.")]
DevicesOption = Annotated[
    str | None,
    typer.Option(
        "--devices",
        metavar="PATTERN",
        help="Only devices whose names match: shell patterns separated by commas; ! in front excludes.",
    ),
]
ImageBaseOption = Annotated[
    str | None,
    typer.Option("--image-base", metavar="IMAGE", help="Base image to build on instead of searching for one."),
]
UnshapedOption = Annotated[
    bool,
    typer.Option("--allow-unshaped", help="Continue even if the kernel cannot shape a link; the report says so."),
]

__all__ = ["DEFAULT_RUNS_DIR", "Exit", "app", "load", "out", "print_errors", "print_json"]


def out(stderr: bool = False) -> SafeConsole:
    """Return the console to print to."""
    stream = sys.stderr if stderr else sys.stdout
    return SafeConsole(stderr=stderr, width=None if stream.isatty() else PLAIN_WIDTH, soft_wrap=not stream.isatty())


def load(spec: Path, overrides: Sequence[Override] = (), limits: bool = True) -> Experiment:
    """Return the experiment in a file. ``overrides``: values that options give in place of the file's; ``limits``:
    whether the testbed has any.

    Raises:
        FedsimError: it cannot be read or has mistakes; the text lists all of them.
    """
    from ..runs.experiment_file import load_experiment
    from ..yamlfile.spec_errors import SpecErrors

    try:
        return load_experiment(spec, overrides, limits)
    except SpecErrors as errors:
        raise errors.counted(str(spec)) from errors
    except OSError as error:
        raise FedsimError(f"{spec}: {error.strerror}", Exit.SPEC) from error


def print_errors(reasons: Iterable[str]) -> None:
    """Print on the standard error what went wrong beside what is shown."""
    for reason in reasons:
        out(stderr=True).print(f"error: {reason}", style="red", markup=False, highlight=False)


def print_json(value: Any) -> None:
    """Print data for other programs."""
    sys.stdout.write(json.dumps(value, indent=1) + "\n")


def _version(value: bool) -> None:
    if value:
        sys.stdout.write(f"fedsim-provision {__version__}\n")
        raise typer.Exit()


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options before the verb."""
