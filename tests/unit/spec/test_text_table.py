"""Tables as users have them: separators, what is no text, numbers that are none."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from fedsim_runner.spec import text_table
from fedsim_runner.spec.text_table import cells_of, read_lines, separator_of, why_no_number


def problems(path: Path, content: bytes) -> list[str]:
    path.write_bytes(content)
    found: list[str] = []
    assert read_lines(path, "a table", lambda line, text, hint: found.append(f"{line}: {text} ({hint})")) is None
    return found


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("time_s,loss", "0.5,1"),
        ("time_s, loss", '"0.5" , "1"'),
        ("time_s;loss", "0.5;1"),
        ("time_s\tloss", "0.5\t1"),
        ("time_s loss", "0.5   1"),
        ("time_s loss", "0.5\t1"),
    ],
)
def test_the_first_line_says_what_separates_cells(header: str, row: str) -> None:
    separator = separator_of(header)
    assert cells_of(header, separator) == ["time_s", "loss"]
    assert [cell.strip('" ') for cell in cells_of(row, separator)] == ["0.5", "1"]


def test_a_quoted_cell_may_have_the_separator() -> None:
    assert cells_of('0,"1,000"', ",") == ["0", "1,000"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (gzip.compress(b"time_s", mtime=0), "0: is compressed (gzip) (unpack it with gunzip)"),
        (b"PK\x03\x04....", "0: is a zip archive or a spreadsheet (unpack it, or save it as CSV)"),
        ("time_s".encode("utf-16"), "0: is UTF-16 text (save it as UTF-8)"),
        (b"\x80\x04\x95.", "0: is a Python pickle (write what it holds as CSV)"),
        (b"version https://git-lfs.github.com/spec/v1\n", "0: is a pointer of Git LFS in place of the file (get"),
        (b"a\n\xe4\n", "2: is not UTF-8 text (a table)"),
        (b"# only this\n\n", "0: is empty (a table)"),
    ],
)
def test_what_is_no_text_is_called_by_its_name(tmp_path: Path, content: bytes, problem: str) -> None:
    (found,) = problems(tmp_path / "a", content)
    assert found.startswith(problem)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    found: list[str] = []
    assert read_lines(tmp_path / "pipe", "a table", lambda line, text, hint: found.append(text)) is None
    assert found == ["is not a regular file"]


def test_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_table, "SIZE_MAX", 4)
    assert problems(tmp_path / "a.up", b"1\n2\n3\n") == ["0: is larger than 0 MB (cut the trace)"]


@pytest.mark.parametrize(
    ("cell", "hint"),
    [
        ("0,5", "write decimals with a point, and thousands without a mark"),
        ("-", "remove the row: the values of the row before it hold on"),
        ("NaN", "remove the row: the values of the row before it hold on"),
        ("2019-11-25T15:34:34", "give times as a number, such as Unix time"),
        ("15:34:34", "give times as a number, such as Unix time"),
        ("1,000,000", None),
        ("fast", None),
    ],
)
def test_what_helps_where_a_number_is_none(cell: str, hint: str | None) -> None:
    assert why_no_number(cell) == hint
