"""Verbs that look at a run: status, logs."""

from __future__ import annotations

import queue
import threading
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ..execution.afterwards import status_of
from ..execution.engine import LabEngine, NoEngineError, lab_engine
from ..execution.exits import Exit, FedsimError
from ..execution.known import KnownRun, all_runs, find_run
from .app import JsonOption, RunArgument, app, out, print_json

LOG_NAMES = ("course/exp_print.log", "console.log")


@app.command()
def status(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="Name of the run; all runs if left out.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Say how far a run is and what each of its devices does."""
    runs = all_runs() if run is None else [run]
    answers = [status_of(name) for name in runs]
    if as_json:
        print_json(answers if run is None else answers[0])
        return Exit.DONE
    console = out()
    if run is None:
        console.print(_all_table(answers) if answers else "no runs")
    else:
        _print_one(console, answers[0])
    return Exit.DONE


@app.command()
def logs(
    run: RunArgument,
    device: Annotated[
        str | None, typer.Argument(metavar="[DEVICE]", help="One device; all if left out.", show_default=False)
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on while the devices write.")] = False,
    tail: Annotated[int, typer.Option("--tail", "-n", min=0, help="Last lines only; 0 for all.")] = 0,
) -> int:
    """Print what the participants log, from their containers or from the run folder."""
    known = find_run(run)
    try:
        with lab_engine(timeout_s=60) as engine:
            found = engine.containers(run, "device")
            if device is None and found:
                _stream(engine, found, follow, tail)
                return Exit.DONE
            if device in found:
                _stream(engine, {device: found[device]}, follow, tail)
                return Exit.DONE
    except NoEngineError:
        if not _collected(known, device):
            raise
    files = _collected(known, device)
    if not files:
        what = f"device {device} of run {run}" if device else f"run {run}"
        raise FedsimError(f"{what}: there is no container and nothing was collected", Exit.SPEC)
    console = out()
    for name, path in files.items():
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        for line in lines[-tail:] if tail else lines:
            _print_line(console, line if device else f"{name} | {line}")
    return Exit.DONE


def _print_one(console: Console, answer: dict[str, Any]) -> None:
    progress = "" if answer["round"] is None else f", round {answer['round']} of {answer['total_rounds'] or '?'}"
    console.print(f"[bold]{answer['run']}[/]: {answer['state'] or 'unknown'}{progress}", highlight=False)
    if answer["reason"]:
        console.print(f"reason: {answer['reason']}", style="red", markup=False, highlight=False)
    if answer["folder"]:
        console.print(f"run folder: {answer['folder']}", markup=False, highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("device", "state", "round", "exit code"):
        table.add_column(column, no_wrap=True)
    for name, entry in answer["devices"].items():
        cells = (entry.get("state"), entry.get("round"), entry.get("exit_code"))
        table.add_row(name, *("-" if cell is None else str(cell) for cell in cells))
    if answer["devices"]:
        console.print(table)


def _all_table(answers: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("run", "state", "round", "devices", "run folder"):
        table.add_column(column, no_wrap=True)
    for answer in answers:
        rounds = "-" if answer["round"] is None else f"{answer['round']}/{answer['total_rounds'] or '?'}"
        table.add_row(answer["run"], str(answer["state"]), rounds, str(len(answer["devices"])), answer["folder"] or "-")
    return table


def _collected(known: KnownRun, device: str | None) -> dict[str, Path]:
    if known.folder is None:
        return {}
    root = known.folder / "collected"
    folders = [root / device] if device else sorted(path for path in root.glob("*") if path.is_dir())
    found = {}
    for folder in folders:
        path = next((folder / name for name in LOG_NAMES if (folder / name).is_file()), None)
        if path is not None:
            found[folder.name] = path
    return found


def _stream(engine: LabEngine, containers: dict[str, Any], follow: bool, tail: int) -> None:
    """Lines of several containers as they come, each with its device in front if there are several."""
    lines: queue.Queue[str | None] = queue.Queue()
    several = len(containers) > 1
    want = tail or "all"

    def read(name: str, identifier: str) -> None:
        try:
            kept = ""
            for chunk in engine.client.api.logs(identifier, stream=True, follow=follow, tail=want):
                *whole, kept = (kept + chunk.decode(errors="replace")).split("\n")
                for line in whole:
                    lines.put(f"{name} | {line}" if several else line)
            if kept:
                lines.put(f"{name} | {kept}" if several else kept)
        finally:
            lines.put(None)

    console = out()
    for name, item in sorted(containers.items()):
        thread = threading.Thread(target=read, args=(name, item["Id"]), daemon=True)
        thread.start()
        if not follow:
            thread.join()
    open_streams = len(containers)
    while open_streams:
        line = lines.get()
        if line is None:
            open_streams -= 1
        else:
            _print_line(console, line)


def _print_line(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True, emoji=False)
