"""The verb report: the page of one run, or a comparison of several."""

from __future__ import annotations

import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.contract.names import RUN_PATTERN
from fedsim_runner.contract.plain_folder import require_plain

from ..app import JsonOption, app, out, print_json

if TYPE_CHECKING:
    from fedsim_runner.runs.sweeps.folder import Sweep


@app.command()
def report(
    runs: Annotated[list[str], typer.Argument(metavar="RUN", help="Run folders or names of runs, or of sweeps.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Folder to write to. One run: its run folder if left out. Several: ./comparison-<utc>.",
        ),
    ] = None,
    figures: Annotated[
        bool, typer.Option("--figures", help="Also write every figure as SVG and PDF into figures/.")
    ] = False,
    target: Annotated[
        float | None,
        typer.Option(
            "--target",
            min=0.0,
            max=1.0,
            metavar="ACCURACY",
            help="Comparison: report the time to this accuracy; if left out, the highest that every run reached.",
        ),
    ] = None,
    group: Annotated[
        str,
        typer.Option(
            "--group",
            metavar="spec|name|run|KEY",
            help="Comparison: what counts as repeats of one experiment. spec: equal experiments, whatever their seed; "
            "name: the same name; run: each run by itself; KEY,...: the same values of these keys of a --grid.",
        ),
    ] = "spec",
    as_json: JsonOption = False,
) -> int:
    """Write report.html and the tables of a run again; of several runs, compare them."""
    from fedsim_runner.runs.folder import give_to_user
    from fedsim_runner.runs.sweeps.folder import find_sweep

    found = {name: find_sweep(name) for name in runs}
    folders = [folder for name, sweep in found.items() for folder in ([_folder(name)] if sweep is None else _of(sweep))]
    folders = list(dict.fromkeys(folders))
    sweep = found[runs[0]]
    into = sweep.folder if len(found) == 1 and sweep is not None and output is None else None
    try:
        if len(folders) == 1 and sweep is None:
            return _one(folders[0], output, figures, as_json)
        code = _several(folders, output or into, figures, target, group, as_json)
        if into is not None:
            give_to_user(into)
        return code
    except OSError as error:
        where = error.filename or output or folders[0]
        raise FedsimError(f"{where}: {error.strerror or error} (another folder: --output DIR)", Exit.SPEC) from error


def _one(folder: Path, output: Path | None, figures: bool, as_json: bool) -> int:
    from fedsim_runner.results import render_summary
    from fedsim_runner.results.comparison.run_folders import refresh_report
    from fedsim_runner.results.page import publish
    from fedsim_runner.runs.folder import give_to_user
    from fedsim_runner.runs.hold import hold
    from fedsim_runner.runs.registry import Registry

    # The folder of a run that is being worked on belongs to whoever does.
    run = folder.name
    with hold(run) if output is None and RUN_PATTERN.fullmatch(run) else nullcontext():
        entry = Registry().find(run)  # until the run is removed
        made = refresh_report(folder, output, is_up=entry is not None and Path(entry.folder) == folder.resolve())
        page = publish(folder, made, output=output, figures=figures)
        if output is None:
            give_to_user(folder)
    if as_json:
        print_json(made)
        return Exit.DONE
    console = out()
    console.print(render_summary(made, folder, page))
    if figures:
        console.print(f"figures: {page.parent / 'figures'}", markup=False, highlight=False)
    return Exit.DONE


def _several(
    folders: list[Path], output: Path | None, figures: bool, target: float | None, group: str, as_json: bool
) -> int:
    from fedsim_runner.results.comparison.groups import compare_runs
    from fedsim_runner.results.comparison.page import publish_comparison, render_comparison

    where = output or Path(f"comparison-{time.strftime('%Y%m%dt%H%M%Sz', time.gmtime())}")
    compared = compare_runs(folders, target=target, grouping=group)
    page = publish_comparison(compared, where, figures=figures)
    if as_json:
        print_json(compared)
    else:
        out().print(render_comparison(compared, page))
    return Exit.DONE


def _of(sweep: Sweep) -> list[Path]:
    """The folders of a sweep's runs that have begun."""
    require_plain(sweep.folder)
    begun = [one.folder for one in sweep.runs if one.begun]
    if not begun:
        raise FedsimError(f"no run of sweep {sweep.name} ({sweep.folder}) has begun", Exit.SPEC)
    return begun


def _folder(name: str) -> Path:
    from fedsim_runner.results.comparison.run_folders import is_run_folder
    from fedsim_runner.runs.lookup import find_run

    path = Path(name)
    if path.is_dir():
        if not is_run_folder(path):
            raise FedsimError(f"{name}: not a run folder: it has no journal, no plan and no report", Exit.SPEC)
        return _plain(path)
    if "/" in name or path.exists():
        raise FedsimError(f"{name}: there is no such run folder", Exit.SPEC)
    folder = find_run(name).folder
    if folder is None or not is_run_folder(folder):
        raise FedsimError(
            f"{name}: no run of this name is known here; give its run folder (fedsim-provision status lists runs)",
            Exit.SPEC,
        )
    return _plain(folder)


def _plain(folder: Path) -> Path:
    require_plain(folder)
    return folder.resolve()
