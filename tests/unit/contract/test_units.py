"""Bytes, rates and times in a form for people."""

from __future__ import annotations

import pytest

from fedsim_runner.contract.units import GB, MB, counted, duration, memory, rate, seconds, short_rate, size, size_unit


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        ("x", "-"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 kB"),
        (3 * MB, "3.0 MB"),
        (1536 * MB, "1.5 GB"),
        (3000 * GB, "3000.0 GB"),
    ],
)
def test_sizes_are_in_powers_of_1024(value: object, shown: str) -> None:
    assert size(value) == shown


def test_memory_fits_a_column() -> None:
    values = (256 * MB, 999.4 * MB, 1000 * MB, 1536 * MB, 8 * GB)
    assert [memory(value) for value in values] == ["256 MB", "999 MB", "1 GB", "1.5 GB", "8 GB"]


def test_one_thing_is_singular() -> None:
    assert [counted(number, "device") for number in (0, 1, 2)] == ["0 devices", "1 device", "2 devices"]


def test_what_is_drawn_is_scaled_by_one_unit() -> None:
    assert [size_unit(value) for value in (0, 5 * MB, 2 * GB)] == [(1, "B"), (MB, "MB"), (GB, "GB")]


def test_rates_have_decimal_prefixes() -> None:
    given = ["500 bit/s", "1 kbit/s", "2.5 Mbit/s", "1 Gbit/s"]
    assert [rate(value) for value in (500, 1000, 2_500_000, 10**9)] == given
    assert [short_rate(value) for value in (0, 400, 99_000, 1_234_000, 123_400_000, 5e9)] == [
        "0 k",
        "0 k",
        "99 k",
        "1.2 M",
        "123 M",
        "5.0 G",
    ]


def test_times() -> None:
    assert [seconds(value) for value in (None, 1.234, 12.34)] == ["-", "1.23 s", "12.3 s"]
    assert seconds(1.5, 3, "?") == "1.500 s"
    assert [duration(value) for value in (75, 100, 3700)] == ["75 s", "1 min 40 s", "1 h 01 min"]
