"""comparison.html, its tables, and the summary for the terminal."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from fedsim_runner import __version__
from fedsim_runner.console.tables import Column, FoldedTable
from fedsim_runner.contract.units import size

from ..page import PAGE as RUN_PAGE
from ..report_files import write_csv
from .groups import FIELDS, GROUP_FIELDS, WALL_FIELDS

PAGE = "comparison.html"
FIGURES = "figures"


def publish_comparison(compared: Mapping[str, Any], output: Path, *, figures: bool = False) -> Path:
    """Write comparison.html, .json, .csv and comparison-groups.csv; return the page's path.

    Raises:
        OSError: the folder cannot be written.
    """
    # Imported here: importing matplotlib takes longer than most verbs run.
    from ..figures.comparison import draw_comparison
    from ..page.run_page import make_environment, prepare_figures

    output.mkdir(parents=True, exist_ok=True)
    drawn = draw_comparison(compared)
    if figures:
        (output / FIGURES).mkdir(exist_ok=True)
        for one in drawn.values():
            one.save(output / FIGURES)
    text = make_environment().get_template("comparison.html.j2").render(
        compared=compared, **prepare_figures(drawn), pages=_pages(compared, output), version=__version__
    )  # fmt: skip
    page = output / PAGE
    page.write_text(text, encoding="utf-8", errors="replace")
    (output / "comparison.json").write_text(json.dumps(compared, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    columns = (*FIELDS, *WALL_FIELDS) if "time_factors" in compared else FIELDS
    rows = [{key: run[key] for key in columns} for run in compared["runs"]]
    write_csv(output / "comparison.csv", columns, rows)
    write_csv(output / "comparison-groups.csv", GROUP_FIELDS, compared["groups"])
    return page


def _pages(compared: Mapping[str, Any], output: Path) -> dict[str, str]:
    """Return where the pages of runs are whose folders are in ``output``, as those of a sweep are."""
    folders = {run["run"]: Path(run["folder"]) for run in compared["runs"]}
    here = {run: folder for run, folder in folders.items() if folder.parent == output.resolve()}
    return {run: f"{folder.name}/{RUN_PAGE}" for run, folder in here.items() if (folder / RUN_PAGE).is_file()}


def render_comparison(compared: Mapping[str, Any], page: Path) -> RenderableType:
    """Return one line per group, and the path of the page."""
    groups = compared["groups"]
    target = compared["target_accuracy"]
    reached = "to target" if target is None else f"to {target:g}"

    def column(title: str, cells: Callable[[Mapping[str, Any]], str]) -> Column:
        return Column(title, [cells(group) for group in groups], right=True)

    table = FoldedTable(
        Column("experiment", [str(group["group"]) for group in groups]),
        [
            column("runs", lambda group: str(group["runs"])),
            column("final accuracy", lambda group: _spread(group, "final_accuracy", ".4f")),
            column(reached, lambda group: _spread(group, "seconds_to_target", ".2f", " s")),
            column("reached it", lambda group: f"{group['reached_target']} of {group['runs']}"),
        ],
        [
            column("round", lambda group: _spread(group, "mean_round_seconds", ".2f", " s")),
            column("waiting", lambda group: _share(group["waiting_share_mean"])),
            column("sent", lambda group: size(group["bytes_sent_mean"])),
        ],
        [
            column("lost", lambda group: _spread(group, "lost_clients", "g")),
            column("late", lambda group: _spread(group, "late_updates", "g")),
        ],
    )
    notes = [Text.assemble(("note: ", "yellow"), note) for note in compared["notes"]]
    if any(group["runs"] > 1 for group in groups):
        notes.insert(0, Text("±: half the width of the mean's 95 % confidence interval", style="dim"))
    where = Text.assemble("comparison: ", (str(page), "bold"), overflow="fold", no_wrap=False)
    return Group(table, *notes, where)


def _spread(group: Mapping[str, Any], key: str, form: str, unit: str = "") -> str:
    mean, half = group[f"{key}_mean"], group[f"{key}_ci95"]
    if mean is None:
        return "-"
    return f"{mean:{form}}{unit}" if half is None else f"{mean:{form}} ± {half:{form}}{unit}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value * 100:.0f} %"
