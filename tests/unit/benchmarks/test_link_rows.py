"""The table of link figures: what an error is, and when it is within its limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.link_figures.profiles import measured_profiles
from benchmarks.link_figures.rows import (
    ABOVE,
    BELOW,
    BOTH,
    COLUMNS,
    QUEUE,
    Row,
    compared,
    missed,
    read_rows,
    write_rows,
)


@pytest.mark.parametrize(
    ("got", "most", "side", "within"),
    [
        (101.0, 1.0, BOTH, True),
        (98.0, 1.0, BOTH, False),
        (102.0, 1.0, BOTH, False),
        (98.0, 1.0, ABOVE, True),
        (102.0, 1.0, ABOVE, False),
        (98.0, 1.0, BELOW, False),
        (102.0, 1.0, BELOW, True),
        (500.0, None, BOTH, None),
    ],
)
def test_an_error_is_within_its_limit_or_not_or_only_reported(
    got: float, most: float | None, side: str, within: bool | None
) -> None:
    row = Row("4g", "toy", "up", "delay", "ms", 100.0, got, most, side)
    assert row.within is within
    assert missed([row]) == ([row] if within is False else [])
    assert len(row.cells()) == len(COLUMNS)


def test_cells_show_what_was_asked_what_was_got_and_the_error() -> None:
    row = Row("2g", "toy", "down", "delay, dense", "ms", 400.0, 412.34, 8.0)
    assert row.cells() == ("2g", "toy", "down", "delay, dense (ms)", "400", "412.34", "+12.3", "8", "NO")


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    rows = [
        Row("4g", "toy", "up", "delay, sparse", "ms", 35.0, 35.25, 1.0),
        Row("4g", "toy", "up", QUEUE, "ms", 135.0, 120.5, None, ABOVE),
    ]
    write_rows(tmp_path / "rows.csv", rows)
    assert read_rows(tmp_path / "rows.csv") == rows


@pytest.mark.parametrize(("got", "within"), [(110.0, True), (84.0, False)])
def test_the_queues_of_two_back_ends_are_compared(got: float, within: bool) -> None:
    other = Row("4g", "toy", "up", QUEUE, "ms", 135.0, 100.0)
    own = [Row("4g", "best", way, QUEUE, "ms", 135.0, got) for way in ("up", "down")]
    (row,) = compared(own, [other, Row("4g", "toy", "up", "delay, sparse", "ms", 35.0, 35.0)])
    assert (row.asked, row.got, row.within) == (100.0, got, within)
    assert row.figure.endswith(", as toy")


def test_all_profiles_are_measured() -> None:
    profiles = measured_profiles()
    assert {"gigabit", "wifi", "5g", "4g", "3g", "2g", "lossy", "satellite"} <= set(profiles)
    assert (profiles["satellite"].up.rate_bps, profiles["satellite"].down.rate_bps) == (3_000_000, 25_000_000)
