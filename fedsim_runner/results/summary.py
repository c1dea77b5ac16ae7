"""The summary for people, at the end of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..console.bars import sparkline
from ..console.tables import Column, FoldedTable
from ..contract.units import seconds, size
from .findings import describe_findings
from .page.metrics import ACCURACIES, LOSSES, NAMES, find_metric
from .tables.compute import describe_compute
from .tables.links import describe_links
from .tables.timeline import describe_events

SHOWN_ROUNDS = 12
SHOWN_DEVICES = 30
SPLIT = ("download", "compute", "upload", "waiting")
STYLES = {"finished": "bold green", "failed": "bold red", "interrupted": "bold yellow"}


def render_summary(report: Mapping[str, Any], run_dir: Path, page: Path | None = None) -> RenderableType:
    """Return accuracy by round, time, bytes and memory per device, and the paths of the results.

    Args:
        page: report.html, if it is not in ``run_dir``.
    """
    page = page or run_dir / "report.html"
    status = str(report.get("status"))
    head = Text.assemble(
        (f"{report.get('run')}: {status}", STYLES.get(status, "bold")),
        _after(report),
        f", links by {report['link_backend']}" if report.get("link_backend") else "",
    )
    parts: list[RenderableType] = [Text(""), head]
    if report.get("reason"):
        parts.append(Text(str(report["reason"]), style="red"))
    rounds = list(report.get("rounds") or [])
    if rounds:
        parts += [Text(""), _rounds(rounds)]
    key = _measures(rounds)[-1][1]
    final = (report.get("final") or {}).get(key)
    if final is not None:
        parts.append(Text.assemble(f"final {NAMES[key].lower()} ", (f"{final:.4f}", "bold")))
    if (line := _fairness(report.get("fairness") or {})) is not None:
        parts.append(line)
    devices = dict(report.get("devices") or {})
    if devices:
        parts += [Text(""), _devices(devices)]
    if (links := describe_links(report.get("links") or [])) is not None:
        parts.append(Text(links))
    if (compute := describe_compute(report.get("compute") or [])) is not None:
        parts.append(Text(compute))
    if (events := describe_events(report.get("events") or [])) is not None:
        parts.append(Text(events))
    parts += [Text(line) for line in describe_findings(report)]
    parts += [Text.assemble(("note: ", "yellow"), str(note)) for note in report.get("notes") or []]
    if page.exists():
        parts.append(Text.assemble("report: ", (str(page), "bold"), overflow="fold", no_wrap=False))
    parts.append(Text.assemble("run folder: ", (str(run_dir), "bold"), overflow="fold", no_wrap=False))
    return Group(*parts)


def _after(report: Mapping[str, Any]) -> str:
    """Return how long the course took, if it has begun; of a dilated run in device time, with wall time beside it."""
    if report.get("duration_s") is None:
        return ""
    lasted = f" after {seconds(report['duration_s'])}"
    if "time_factor" not in report:
        return lasted
    wall = seconds(report.get("wall_duration_s"))
    return f"{lasted} of device time ({wall} of wall time, factor {report['time_factor']:g})"


def _fairness(spread: Mapping[str, Any]) -> Text | None:
    """Return how evenly the accuracy is spread over the clients, if there are several."""
    if (spread.get("clients_evaluated") or 0) < 2 or spread.get("client_accuracy_mean") is None:
        return None
    name = NAMES.get(spread["accuracy"], spread["accuracy"]).lower()
    return Text(
        f"{name} of {spread['clients_evaluated']} clients: mean {_plain(spread['client_accuracy_mean'], '.4f')}, "
        f"deviation {_plain(spread['client_accuracy_deviation'], '.4f')}, "
        f"10th percentile {_plain(spread['client_accuracy_p10'], '.4f')}"
    )


def _measures(rounds: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return titles and keys of the results to show; the last is what the course is judged by: accuracy, if any."""
    found = [("loss", find_metric(rounds, LOSSES)), ("accuracy", find_metric(rounds, ACCURACIES))]
    return [(title, key) for title, key in found if key is not None] or [("accuracy", ACCURACIES[0])]


def _rounds(rounds: Sequence[Mapping[str, Any]]) -> RenderableType:
    # Rounds between two evaluations (eval.freq) have no results to show; all are in rounds.csv.
    measures = _measures(rounds)
    name, key = measures[-1]
    evaluated = [entry for entry in rounds if entry.get(key) is not None] or rounds
    table = Table(box=None, pad_edge=False, header_style="bold")
    times = [("time", "seconds")]
    if any("wall_seconds" in entry for entry in rounds):
        times = [("device time", "seconds"), ("wall time", "wall_seconds")]
    for column in ("round", *(title for title, _ in reversed(measures)), *(title for title, _ in times)):
        table.add_column(column, justify="right", no_wrap=True)
    step = max(1, -(-len(evaluated) // SHOWN_ROUNDS))
    shown = [entry for index, entry in enumerate(evaluated) if (len(evaluated) - 1 - index) % step == 0]
    for entry in shown:
        values = (_plain(entry.get(key), ".4f") for _, key in reversed(measures))
        table.add_row(str(entry["round"]), *values, *(seconds(entry.get(key)) for _, key in times))
    history = [entry.get(key) for entry in evaluated]
    # A loss may be any number: its bars are shares of the largest.
    largest = 1.0 if name == "accuracy" else max((value for value in history if value is not None), default=0.0) or 1.0
    bars = sparkline([None if value is None else value / largest for value in history])
    line = Text.assemble(f"{name} by round  ", (bars, "green"))
    if len(shown) == len(rounds):
        return Group(table, line)
    return Group(table, Text(f"({len(shown)} of {len(rounds)} rounds; all in rounds.csv)"), line)


def _devices(devices: Mapping[str, Mapping[str, Any]]) -> RenderableType:
    names = list(devices)[:SHOWN_DEVICES]

    def column(title: str, key: str, form: Callable[[Any], str] | None = None) -> Column:
        values = [devices[name].get(key) for name in names]
        cells = [str(value or "-") for value in values] if form is None else [form(value) for value in values]
        return Column(title, cells, right=form is not None)

    # Where the time of a round goes, on average; only if the participants recorded it.
    split = any(entry.get("mean_download_seconds") is not None for entry in devices.values())
    table = FoldedTable(
        Column("device", names),
        [column("type", "type"), column("network", "network"), column("state", "state")],
        [column("bytes up", "bytes_up", size), column("bytes down", "bytes_down", size)],
        [
            column("peak memory", "memory_peak_bytes", size),
            column("limit", "memory_limit_bytes", size),
            column("cpu", "cpu_seconds", seconds),
        ],
        [column(part, f"mean_{part}_seconds", seconds) for part in SPLIT] if split else [],
    )
    hidden = len(devices) - SHOWN_DEVICES
    below = [Text(f"... and {hidden} more in devices.csv")] if hidden > 0 else []
    if split:
        below.append(Text("download to waiting: mean per round", style="dim"))
    return Group(table, *below)


def _plain(value: object, form: str) -> str:
    return format(value, form) if isinstance(value, int | float) else "-"
