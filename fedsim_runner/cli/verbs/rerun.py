"""The verb rerun: repeat a run from its folder alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.runs.labs import LabOptions
from fedsim_runner.runs.options import DEFAULT_RUNS_DIR, RunOptions

from ..app import (
    NO_DOCKER,
    ImageBaseOption,
    RunNameOption,
    RunsDirOption,
    UnshapedOption,
    app,
    out,
    print_json,
)
from ..lab_options import on_a_lab

if TYPE_CHECKING:
    from fedsim_runner.testbed.protocol import Testbed


@app.command()
@on_a_lab
def rerun(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="Folder of the run, or its name; also of a sweep.", show_default=False)
    ],
    keep: Annotated[bool, typer.Option("--keep", help="Leave the testbed up at the end.")] = False,
    no_docker: Annotated[
        bool, typer.Option("--no-docker", help="As plain processes; a run without Docker is always repeated so.")
    ] = False,
    allow_unshaped: UnshapedOption = False,
    image_base: ImageBaseOption = None,
    runs_dir: RunsDirOption = DEFAULT_RUNS_DIR,
    run_name: RunNameOption = None,
    trust: Annotated[
        bool,
        typer.Option(
            "--trust", help="Also run the code in the folder (Dockerfiles, FederatedScope): you trust whoever made it."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON; progress to stderr.")] = False,
    *,
    lab: LabOptions,
) -> int:
    """Repeat a run from its folder alone, and report how the two differ."""
    from fedsim_runner.runs.labs import choose_lab
    from fedsim_runner.runs.lookup import lab_to_repeat_on
    from fedsim_runner.runs.repetition.rerun import open_original
    from fedsim_runner.runs.repetition.rerun import rerun as repeat
    from fedsim_runner.runs.sweeps.folder import find_sweep
    from fedsim_runner.testbed.installed import DEFAULT, find_testbed

    def on_chosen(name: str, where: LabOptions) -> tuple[Testbed, RunOptions]:
        testbed, inventory = choose_lab(find_testbed(NO_DOCKER if no_docker else name), where)
        return testbed, RunOptions(run_name, runs_dir, keep, allow_unshaped, image_base, lab=inventory)

    console = out(stderr=as_json)
    if (sweep := find_sweep(run, runs_dir)) is None:
        original = open_original(run, runs_dir)
        where = lab if no_docker else lab_to_repeat_on(original.run, original.folder, lab)
        testbed, options = on_chosen(original.testbed, where)
        code, report = repeat(original, options, console, testbed, trust)
    else:
        from fedsim_runner.runs.sweeps.rerun import rerun_sweep

        if keep:
            raise FedsimError("--keep: the runs of a sweep follow each other, so no testbed stays up", Exit.SPEC)
        words = ["fedsim-provision", "rerun", run, *["--no-docker"] * no_docker, *["--trust"] * trust]
        where = lab
        if not no_docker and (one := next((one for one in sweep.runs if one.begun), None)) is not None:
            where = lab_to_repeat_on(one.run, one.folder, lab)
        options = on_chosen(DEFAULT, where)[1]
        words += options.words
        code, report = rerun_sweep(sweep, options, console, lambda name: on_chosen(name, where)[0], words, trust)
    if as_json:
        print_json(report)
    return code
