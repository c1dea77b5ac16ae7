"""The verb status: how far a run has got."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.runs.labs import LabOptions

from ..app import JsonOption, app, out, print_errors, print_json
from ..lab_options import on_a_lab

if TYPE_CHECKING:
    from fedsim_runner.console.live import Window
    from fedsim_runner.runs.sweeps.folder import Sweep

WATCH_EVERY_S = 1.0
ALL_ROWS = 1_000_000


@app.command()
@on_a_lab
def status(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="Name of the run, or of a sweep; all runs if left out.", show_default=False),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Refresh every second until the run ends.")] = False,
    as_json: JsonOption = False,
    every: Annotated[bool, typer.Option("--all", help="All runs, as without RUN.")] = False,
    *,
    lab: LabOptions,
) -> int:
    """Show how far a run has got and what each of its devices is doing."""
    from fedsim_runner.runs.lookup import all_runs
    from fedsim_runner.runs.run_status import status_of, status_of_all
    from fedsim_runner.runs.sweeps.folder import find_sweep

    if watch and (run is None or as_json):
        raise FedsimError("--watch needs one RUN and cannot be combined with --json", Exit.SPEC)
    if every and run is not None:
        raise FedsimError("name one RUN, or ask for --all", Exit.SPEC)
    console = out()
    if run is not None and (sweep := find_sweep(run)) is not None:
        return _sweep(sweep, console, watch, as_json, lab)
    if watch and run is not None:
        _watch(console, run, lab)
        return Exit.DONE
    if run is not None:
        answer = status_of(run, lab=lab)
        if as_json:
            print_json(answer)
        else:
            console.print(_one(answer, ALL_ROWS))
        return Exit.DONE
    found = all_runs(lab)
    answers = status_of_all(found.labs)
    if as_json:
        print_json(answers)
    else:
        console.print(_all_table(answers) if answers else "no runs")
    print_errors(found.unreachable)
    return Exit.LAB if found.unreachable else Exit.DONE


def _sweep(sweep: Sweep, console: Console, watch: bool, as_json: bool, lab: LabOptions) -> int:
    """All runs of a sweep; the one in progress can be watched."""
    from fedsim_runner.runs.hold import is_held
    from fedsim_runner.runs.sweeps.status import status_of_sweep

    if watch:
        current = next((one.run for one in sweep.runs if is_held(one.run)), None)
        if current is None:
            raise FedsimError(f"--watch: no run of sweep {sweep.name} is in progress", Exit.SPEC)
        _watch(console, current, lab)
        return Exit.DONE
    answer = status_of_sweep(sweep)
    if as_json:
        print_json(answer)
    else:
        count = f"{answer['finished']} of {len(answer['runs'])} runs finished"
        head = f"sweep {answer['sweep']}: {answer['state']}, {count}"
        console.print(Text(head, "bold"), _sweep_table(answer["runs"]), Text(f"folder: {answer['folder']}"), sep="\n")
    return Exit.DONE


def _sweep_table(runs: list[dict[str, Any]]) -> Table:
    from fedsim_runner.runs.sweeps.members import short_key, shown

    keys = list(dict.fromkeys(key for one in runs for key in one["varied"]))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("run", *map(short_key, keys), "state", "round", "accuracy"):
        table.add_column(Text(title), no_wrap=title != "state", overflow="fold")
    for one in runs:
        rounds = "-" if one["round"] is None else f"{one['round']}/{one['total_rounds'] or '?'}"
        accuracy = "-" if one["accuracy"] is None else f"{one['accuracy']:.4f}"
        values = (shown(one["varied"][key]) if key in one["varied"] else "-" for key in keys)
        table.add_row(*map(Text, (one["run"], *values, one["state"], rounds, accuracy)))
    return table


def _watch(console: Console, run: str, lab: LabOptions) -> None:
    """Redraw until the run has ended; the last picture stays. Without a terminal the state is printed once."""
    from rich.live import Live

    from fedsim_runner.console.keys import Key, Keys
    from fedsim_runner.console.live import Window
    from fedsim_runner.runs.run_status import ENDED, status_of

    answer = status_of(run, lab=lab)
    if not console.is_terminal:
        console.print(_one(answer, ALL_ROWS))
        return
    window = Window()

    def pressed(key: Key) -> None:
        window.move(key)
        live.refresh()

    keys = Keys(pressed)
    window.by_keys = keys.available
    try:
        with Live(_one(answer, window=window), console=console, auto_refresh=False, vertical_overflow="crop") as live:
            keys.start()
            while not str(answer["state"]).startswith(ENDED):
                time.sleep(WATCH_EVERY_S)
                answer = status_of(run, lab=lab)
                live.update(_one(answer, window=window), refresh=True)
    except KeyboardInterrupt:
        return
    finally:
        keys.stop()


def _one(answer: Mapping[str, Any], rows: int | None = None, window: Window | None = None) -> RenderableType:
    from fedsim_runner.console.course_now import CourseNow, count_states, parse_devices
    from fedsim_runner.console.live import LINES_AROUND, CourseView
    from fedsim_runner.contract.course_state import accuracy_of

    devices = parse_devices(answer["devices"])
    course = CourseNow(
        run=answer["run"],
        state=answer["state"] or "unknown",
        round=answer["round"],
        total_rounds=answer["total_rounds"],
        accuracy=accuracy_of(answer.get("results")),
        time_factor=answer.get("time_factor") or 1.0,
        devices=devices,
        counts=count_states(None, devices),
    )
    parts: list[RenderableType] = []
    if answer["reason"]:
        parts.append(Text(f"reason: {answer['reason']}", "red"))
    if answer["folder"]:
        parts.append(Text(f"run folder: {answer['folder']}", overflow="fold"))
    return Group(CourseView(course, rows, LINES_AROUND + len(parts), window), *parts)


def _all_table(answers: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    # On a narrow terminal the two long columns are wrapped: a path must stay complete.
    for column in ("run", "state", "round", "devices", "run folder"):
        long = column in ("state", "run folder")
        table.add_column(column, no_wrap=not long, overflow="fold" if long else "ellipsis")
    for answer in answers:
        rounds = "-" if answer["round"] is None else f"{answer['round']}/{answer['total_rounds'] or '?'}"
        cells = (answer["run"], answer["state"], rounds, len(answer["devices"]), answer["folder"] or "-")
        table.add_row(*(Text(str(cell)) for cell in cells))
    return table
