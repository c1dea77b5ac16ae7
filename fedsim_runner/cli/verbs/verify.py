"""The verb verify: measure the links of a run that is up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from fedsim_runner.contract.errors import Exit
from fedsim_runner.runs.labs import LabOptions

from ..app import JsonOption, RunArgument, app, out, print_errors, print_json
from ..lab_options import on_a_lab

STYLES = {"within": "green", "out": "bold red", "undetermined": "yellow"}


@app.command()
@on_a_lab
def verify(run: RunArgument, as_json: JsonOption = False, *, lab: LabOptions) -> int:
    """Measure all links and edges of a run that is up and waits at the gate; exit code 6 if one is not as requested.

    If its course is over, also say how its devices were served while they computed.
    """
    from fedsim_runner.runs.verification import compute_of_run, verify_run

    verified = verify_run(run, lab)
    rows = verified.rows
    if as_json:
        print_json(rows)
    else:
        out().print(_table(rows) if rows else Text("no device of the run has a link now: none was measured"))
        if verified.path is not None:
            out().print(Text(f"all values: {verified.path}", overflow="fold"))
        if compute := compute_of_run(run):
            out().print(_compute_table(compute))
    print_errors(verified.silent)
    if verified.silent:
        return Exit.LAB
    return Exit.LINKS if any(row["verdict"] == "out" for row in rows) else Exit.DONE


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("device", "direction", "delay", "jitter", "rate", "loss", "verdict"):
        table.add_column(title, no_wrap=title != "verdict", overflow="fold")
    for row in rows:
        verdict = str(row["verdict"])
        text = verdict if row["reason"] is None else f"{verdict}: {row['reason']}"
        table.add_row(
            Text(str(row["device"])),
            Text(str(row["direction"])),
            Text(_pair(row, "delay", "_us", _milliseconds)),
            Text(_pair(row, "jitter", "_us", _milliseconds)),
            Text(_pair(row, "rate", "_bps", _rate)),
            Text(_pair(row, "loss", "", _share)),
            Text(text, STYLES.get(verdict, "")),
        )
    return table


def _compute_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("device", "cpus", "steps", "time error", "step before", "verdict"):
        table.add_column(title, no_wrap=title != "verdict", overflow="fold")
    for row in rows:
        verdict = str(row["verdict"])
        errors = ("-" if row[key] is None else f"{row[key]:+.1%}" for key in ("time_error", "reference_error"))
        table.add_row(
            Text(str(row["device"])),
            Text(f"{'-' if row['cpus'] is None else format(row['cpus'], '.3g')} ({row['cpus_asked']:.3g})"),
            Text(str(row["steps"])),
            *map(Text, errors),
            Text(verdict if row["reason"] is None else f"{verdict}: {row['reason']}", STYLES.get(verdict, "")),
        )
    return table


def _pair(row: Mapping[str, Any], name: str, unit: str, form: Callable[[float], str]) -> str:
    """What was measured, and what was asked for."""
    found, asked = row[f"{name}{unit}"], row[f"{name}_asked{unit}"]
    return f"{'-' if found is None else form(found)} ({'-' if asked is None else form(asked)})"


def _milliseconds(value: float) -> str:
    return f"{value / 1000:.1f} ms"


def _rate(value: float) -> str:
    return f"{value / 1e6:.4g} Mbit/s"


def _share(value: float) -> str:
    return f"{value:.2%}"
