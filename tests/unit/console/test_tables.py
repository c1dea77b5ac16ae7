"""Tables that fold on a narrow terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from fedsim_runner.console.tables import Column, FoldedTable

FIRST = Column("device", ["server", "board-1"])
GROUPS = (
    [Column("type", ["edge-server", "raspberry-pi"]), Column("state", ["finished", "lost"])],
    [Column("up", ["1.5 MB", "220.1 kB"], right=True), Column("down", ["3 MB", "-"], right=True)],
)


def printed(width: int, *groups: list[Column]) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=width).print(FoldedTable(FIRST, *groups))
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_one_table_where_it_fits() -> None:
    assert printed(60, *GROUPS) == [
        "device   type          state           up  down",
        "server   edge-server   finished    1.5 MB  3 MB",
        "board-1  raspberry-pi  lost      220.1 kB     -",
    ]


@pytest.mark.parametrize("width", [31, 46])
def test_groups_move_below_with_the_first_column(width: int) -> None:
    assert printed(width, *GROUPS) == [
        "device   type          state",
        "server   edge-server   finished",
        "board-1  raspberry-pi  lost",
        "",
        "device         up  down",
        "server     1.5 MB  3 MB",
        "board-1  220.1 kB     -",
    ]


def test_a_group_that_is_too_wide_is_split() -> None:
    lines = printed(22, *GROUPS)
    assert [line for line in lines if line.startswith("device")] == [
        "device   type",
        "device   state",
        "device         up",
        "device   down",
    ]
    assert "board-1  raspberry-pi" in lines


def test_cells_are_text_not_markup() -> None:
    assert "server   [red]" in printed(60, [Column("name", ["[red]", "x"])])
