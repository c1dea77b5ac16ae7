"""Which devices have a row in a figure when there are too many for all."""

from __future__ import annotations

from typing import Any

import pytest

from fedsim_runner.results.figures.device_rows import MAX_ROWS, choose_rows, lost_devices, rows_by_time

pytestmark = pytest.mark.drawing
WORDS = ("slowest", "median", "fastest")


def report(clients: int) -> dict[str, Any]:
    devices: dict[str, dict[str, Any]] = {"server": {"role": "server"}}
    for index in range(clients):
        devices[f"phone-{index}"] = {"role": "client", "mean_compute_seconds": float(index), "mean_upload_seconds": 1.0}
    return {"devices": devices, "lost_clients": [{"device": "phone-40"}]}


def test_few_devices_all_have_a_row_in_their_order() -> None:
    rows = rows_by_time(report(MAX_ROWS))
    assert rows.names[:3] == ("server", "phone-0", "phone-1")
    assert (len(rows.names), rows.groups, rows.complete, rows.describe()) == (MAX_ROWS + 1, (), True, "")


def test_of_many_the_slowest_the_median_the_fastest_and_the_lost() -> None:
    rows = rows_by_time(report(500))
    assert rows.names[:2] == ("server", "phone-499")
    assert {"phone-492", "phone-250", "phone-3", "phone-0", "phone-40"} <= set(rows.names)
    assert "phone-100" not in rows.names
    assert [word for word, _, _ in rows.groups] == [*WORDS, "lost"]
    assert rows.names[rows.groups[3][1]] == "phone-40"
    assert not rows.complete
    assert rows.describe() == f" Rows: {len(rows.names)} of 501 devices (slowest, median, fastest, lost)."


def test_a_lost_device_that_is_also_slow_has_one_row() -> None:
    values = {f"d{index}": float(index) for index in range(100)}
    rows = choose_rows(values, WORDS, lost=["d99"])
    assert rows.names.count("d99") == 1
    assert rows.groups[0] == ("slowest", 0, 7)


def test_devices_without_a_value_are_not_ranked() -> None:
    values = {f"d{index}": None if index % 2 else float(index) for index in range(100)}
    rows = choose_rows(values, WORDS, lost=["d1"])
    assert all(values[name] is not None for name in rows.ranked)
    assert rows.names[-1] == "d1"
    nothing = choose_rows(dict.fromkeys(values), WORDS)
    assert nothing.names[:2] == ("d0", "d1")
    assert nothing.ranked == ()


def test_devices_that_failed_count_as_lost() -> None:
    known = report(3)
    known["devices"]["phone-2"]["state"] = "failed"
    assert lost_devices(known) == ["phone-40", "phone-2"]
