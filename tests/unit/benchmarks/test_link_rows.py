"""The table of link figures: what an error is, and when it is within its limit."""

from __future__ import annotations

import pytest

from benchmarks.link_figures.profiles import measured_profiles
from benchmarks.link_figures.rows import COLUMNS, Row, missed


@pytest.mark.parametrize(
    ("got", "most", "one_sided", "within"),
    [
        (101.0, 1.0, False, True),
        (98.0, 1.0, False, False),
        (102.0, 1.0, False, False),
        (98.0, 1.0, True, True),
        (102.0, 1.0, True, False),
        (500.0, None, False, None),
    ],
)
def test_an_error_is_within_its_limit_or_not_or_only_reported(
    got: float, most: float | None, one_sided: bool, within: bool | None
) -> None:
    row = Row("4g", "toy", "up", "delay", "ms", 100.0, got, most, one_sided)
    assert row.within is within
    assert missed([row]) == ([row] if within is False else [])
    assert len(row.cells()) == len(COLUMNS)


def test_cells_show_what_was_asked_what_was_got_and_the_error() -> None:
    row = Row("2g", "toy", "down", "delay, dense", "ms", 400.0, 412.34, 8.0)
    assert row.cells() == ("2g", "toy", "down", "delay, dense (ms)", "400", "412.34", "+12.3", "8", "NO")


def test_all_profiles_are_measured() -> None:
    profiles = measured_profiles()
    assert {"gigabit", "wifi", "5g", "4g", "3g", "2g", "lossy", "satellite"} <= set(profiles)
    assert (profiles["satellite"].up.rate_bps, profiles["satellite"].down.rate_bps) == (3_000_000, 25_000_000)
