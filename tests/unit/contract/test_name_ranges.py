"""Ranges of device names: what is folded is what is read, and nothing but a range is taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedsim_runner.contract.name_ranges import NameRangeError, fold, unfold


@pytest.mark.parametrize(
    ("names", "folded"),
    [
        ([], []),
        (["pi-1", "pi-2", "pi-3"], ["pi-[1:3]"]),
        (["server", "pi-9", "pi-10", "pi-12"], ["server", "pi-[9:10]", "pi-12"]),
        (["pi-01", "pi-02"], ["pi-01", "pi-02"]),
        (["pi-9", "pi-010", "a", "b"], ["pi-9", "pi-010", "a", "b"]),
        (["pi-0", "pi-1"], ["pi-[0:1]"]),
        (["pi-2", "pi-1"], ["pi-2", "pi-1"]),
    ],
)
def test_consecutive_numbers_become_a_range(names: list[str], folded: list[str]) -> None:
    assert fold(names) == folded
    assert list(unfold(folded)) == names


@given(st.lists(st.from_regex(r"[a-z0-9](-?[a-z0-9]){0,4}(-[0-9]{1,3})?", fullmatch=True)))
def test_whatever_is_folded_unfolds_to_the_same_names(names: list[str]) -> None:
    assert list(unfold(fold(names))) == names


def test_many_devices_take_one_line() -> None:
    assert fold(f"pi-{number}" for number in range(1, 100_001)) == ["pi-[1:100000]"]


@pytest.mark.parametrize(
    "text", ["pi-[1:1]", "pi-[3:1]", "pi-[a:b]", "pi-[1:2", "pi-[1]", "pi-[1:900000000]", "[01:2]"]
)
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(NameRangeError, match="is not a range of names"):
        list(unfold([text]))
