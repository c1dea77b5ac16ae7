"""What measured a device's link does not count, whatever becomes of the agent meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedsim_runner.agent.host.left_out import LeftOut


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "not_counted.json"


def test_what_passes_in_between_does_not_count(path: Path) -> None:
    left_out = LeftOut(path)
    assert left_out.counted("a", 1, [100, 10]) == [100, 10]
    left_out.begin({"a": (1, [100, 10])})
    assert left_out.counted("a", 1, [900, 20]) == [100, 10]
    assert left_out.counted("b", 2, [5, 5]) == [5, 5]
    left_out.end({"a": (1, [1_000, 30])})
    assert left_out.counted("a", 1, [1_050, 31]) == [150, 11]
    # Twice: both are left out.
    left_out.begin({"a": (1, [1_050, 31])})
    left_out.end({"a": (1, [2_050, 41])})
    assert left_out.counted("a", 1, [2_051, 42]) == [151, 12]


def test_a_later_agent_leaves_it_out_too(path: Path) -> None:
    first = LeftOut(path)
    first.begin({"a": (1, [100, 10]), "b": (2, [50, 5])})
    first.end({"a": (1, [1_100, 20]), "b": (2, [150, 6])})
    later = LeftOut(path)
    assert later.counted("a", 1, [1_300, 22]) == [300, 12]
    assert later.counted("b", 3, [40, 4]) == [40, 4], "another process has an interface of its own"


def test_a_measurement_that_ended_with_its_agent_is_left_out(path: Path) -> None:
    LeftOut(path).begin({"a": (1, [100, 10])})
    later = LeftOut(path)
    assert later.counted("a", 1, [700, 15]) == [100, 10]
    assert later.counted("a", 1, [710, 16]) == [110, 11]
    assert LeftOut(path).counted("a", 1, [710, 16]) == [110, 11]


@pytest.mark.parametrize("text", ["", "[1]", '{"a": 3}', '{"a": {"other": 1}}'])
def test_a_damaged_file_is_as_none(path: Path, text: str) -> None:
    path.write_text(text)
    assert LeftOut(path).counted("a", 1, [7]) == [7]
