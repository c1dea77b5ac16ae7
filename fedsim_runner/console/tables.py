"""Tables that stay readable if they are wider than the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

GAP = 2  # between two columns


@dataclass(frozen=True)
class Column:
    """A title and one cell per row; ``right``: aligned to the right, for numbers."""

    title: str
    cells: Sequence[str]
    right: bool = False

    @property
    def width(self) -> int:
        """The width of the widest cell in characters."""
        return max(Text(cell).cell_len for cell in (self.title, *self.cells))


class FoldedTable:
    """One table if the width allows it, else several, one below the other, that repeat the first column.

    ``groups`` are columns that stay together; a group that is too wide by itself is split.
    """

    def __init__(self, first: Column, *groups: Sequence[Column]) -> None:
        self._first = first
        self._groups = [group for group in groups if group]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for number, columns in enumerate(self._folded(options.max_width)):
            if number:
                yield Text("")
            table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), show_edge=False, header_style="bold")
            for column in (self._first, *columns):
                table.add_column(Text(column.title), no_wrap=True, justify="right" if column.right else "left")
            for row in zip(*(column.cells for column in (self._first, *columns)), strict=True):
                table.add_row(*map(Text, row))
            yield table

    def _folded(self, width: int) -> list[list[Column]]:
        room = width - self._first.width
        units: list[Sequence[Column]] = []
        for group in self._groups:
            units += [group] if _wide(group) <= room else [[column] for column in group]
        tables: list[list[Column]] = [[]]
        for unit in units:
            if tables[-1] and _wide([*tables[-1], *unit]) > room:
                tables.append([])
            tables[-1] += unit
        return tables


def _wide(columns: Sequence[Column]) -> int:
    return sum(GAP + column.width for column in columns)
