"""Lines of several devices are sorted by the timestamp at their beginning."""

from __future__ import annotations

from datetime import datetime

import pytest

from fedsim_runner.runs.device_logs import written_at

LINE = "2026-11-24 09:56:01,494 (server:82) INFO: ----------- Starting training (Round #0) -------------"


def test_a_log_line_has_its_own_time() -> None:
    assert written_at(LINE) == datetime(2026, 11, 24, 9, 56, 1, 494000).timestamp()
    assert written_at(f"\x1b[38;5;39m{LINE}\x1b[0m") == written_at(LINE)


def test_a_traceback_has_none() -> None:
    assert written_at("Traceback (most recent call last):") is None


@pytest.mark.parametrize("moment", ["2026-99-99 99:99:99,999", "0001-01-01 00:00:00,000", "2026-01-01 1::::::1,000"])
def test_invalid_times_count_as_none(moment: str) -> None:
    assert not written_at(f"{moment} (server:442) INFO: Starting training (Round #0)")
