"""Tables of figures, each with the card of the machine, and the limits that figures are held to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from .machine_card import machine_card

WIDTH = 150


@dataclass(frozen=True)
class Limit:
    """A figure and the most that it may be; ``value`` is None if it was not measured."""

    what: str
    value: float | None
    most: float
    unit: str = ""


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; floats with two digits, None as a dash."""
    _print(title, columns, [[_cell(cell) for cell in row] for row in rows])
    print(machine_card(), flush=True)


def print_limits(limits: Sequence[Limit]) -> None:
    """Print for each figure whether it is within its limit; those that were not measured are left out."""
    rows = [
        [
            limit.what,
            f"{limit.value:.2f}{limit.unit}",
            f"{limit.most:g}{limit.unit}",
            "yes" if limit.value <= limit.most else "NO",
        ]
        for limit in limits
        if limit.value is not None
    ]
    if rows:
        _print("limits", ("figure", "measured", "at most", "met"), rows)


def _print(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table()
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    print(f"\n{title}")
    Console(width=WIDTH).print(table)


def _cell(cell: object) -> str:
    if cell is None:
        return "-"
    return f"{cell:.2f}" if isinstance(cell, float) else str(cell)
