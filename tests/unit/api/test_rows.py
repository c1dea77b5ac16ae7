"""Tables as plain rows."""

from __future__ import annotations

import builtins
from typing import Any

import pytest

from fedsim_runner.api import FedsimError, Rows

TABLE = Rows(
    [{"device": "a", "round": 1, "s": 0.5}, {"device": "b", "round": 1, "s": None}, {"device": "a", "round": 2}],
)


def test_rows_are_a_sequence_of_mappings() -> None:
    assert len(TABLE) == 3
    assert TABLE.columns == ("device", "round", "s")
    assert TABLE[0]["s"] == 0.5
    assert [row["device"] for row in TABLE] == ["a", "b", "a"]
    assert TABLE[1:] == Rows([TABLE[1], TABLE[2]], TABLE.columns)
    assert TABLE.column("s") == [0.5, None, None]
    assert list(TABLE.where(device="a", round=2)) == [TABLE[2]]
    assert repr(TABLE) == "<3 rows of device, round, s>"


def test_an_unknown_column_is_named_with_those_that_there_are() -> None:
    for ask in (lambda: TABLE.column("devise"), lambda: TABLE.where(devise="a")):
        with pytest.raises(FedsimError, match="no column devise; there are device, round, s"):
            ask()


def test_a_data_frame_has_all_columns_in_order() -> None:
    pandas = pytest.importorskip("pandas")
    frame = TABLE.to_pandas()
    assert list(frame.columns) == ["device", "round", "s"]
    assert frame["round"].tolist() == [1, 1, 2]
    assert pandas.isna(frame["s"][2])


def test_without_pandas_the_way_to_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "pandas":
            raise ImportError(name)
        return imported(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(FedsimError, match="pandas is not installed: pip install pandas"):
        TABLE.to_pandas()


def test_a_notebook_shows_what_devices_wrote_as_text() -> None:
    shown = Rows([{"error": "<script>alert(1)</script>", "s": 1 / 3}] * 30)._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert shown.count("0.333333") == 20
    assert "30 rows in all" in shown
