"""A data file is read as it was written, or every mistake in it has a line and a sentence."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fedsim_runner.datasets.csv_files import Table, read_table
from fedsim_runner.datasets.npz_files import read_archive
from fedsim_runner.datasets.own_files import OwnFiles, digest, load_own
from fedsim_runner.datasets.problems import DataError

from .strategies import SCALARS, damaged

# A warning would be printed between the mistakes.
# What is collected meanwhile of other tests' objects is not this file's.
WARNINGS = ("error", "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
pytestmark = [pytest.mark.filterwarnings(*WARNINGS), pytest.mark.lengthy]

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
LABELS = st.sampled_from(["cat", "dog", "a, b", 'say "x"', "ä", "two words"])
TABLES = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.tuples(st.lists(FLOATS, min_size=width, max_size=width), LABELS), min_size=1, max_size=8)
)


def as_csv(rows: list[tuple[list[float], str]]) -> bytes:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow([*(f"x{n}" for n in range(len(rows[0][0]))), "kind"])
    writer.writerows([*values, label] for values, label in rows)
    return stream.getvalue().encode()


def table_of(content: bytes, label: str | int | None = None, header: bool | None = None) -> Table | None:
    try:
        return read_table(content, "own.csv", label, header)
    except DataError as error:
        assert error.problems
        for problem in error.problems:
            assert problem.message
            assert 0 <= problem.line <= content.count(b"\n") + content.count(b"\r") + 1
        return None


@given(TABLES)
def test_a_table_is_read_as_it_was_written(rows: list[tuple[list[float], str]]) -> None:
    table = table_of(as_csv(rows))
    assert table is not None
    assert list(table.labels) == [label for _, label in rows]
    assert np.array_equal(table.features, np.array([values for values, _ in rows], dtype=np.float32))


@given(
    TABLES.map(as_csv).flatmap(damaged),
    st.none() | st.integers(-5, 5) | st.sampled_from(["kind", "x0", ""]),
    st.sampled_from([None, True, False]),
)
def test_a_damaged_table(content: bytes, label: str | int | None, header: bool | None) -> None:
    table = table_of(content, label, header)
    if table is not None:
        assert len(table.labels) == len(table.features) == len(table.lines) > 0
        assert np.isfinite(table.features).all()


@given(st.lists(st.lists(SCALARS, max_size=4), max_size=4))
@example([["x", "kind"], [1e308, "a"]])
def test_a_table_of_anything(rows: list[list[object]]) -> None:
    stream = io.StringIO(newline="")
    try:
        csv.writer(stream).writerows(rows)
        content = stream.getvalue().encode()
    except (csv.Error, ValueError):  # a number of more than 4300 digits, half a character
        return
    table_of(content)


def as_npz(x: object, y: object) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, x=np.asarray(x), y=np.asarray(y))
    return stream.getvalue()


GOOD = as_npz(np.arange(12, dtype=np.float32).reshape(6, 2), np.array([0, 1, 0, 1, 2, 2]))


def no_arrays() -> bytes:
    """An archive whose members are not in NumPy's form."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("x.npy", b"1 2 3")
        archive.writestr("y.npy", b"0")
    return stream.getvalue()


@given(damaged(GOOD))
@example(no_arrays())
def test_a_damaged_archive(content: bytes) -> None:
    try:
        own, test = read_archive(content, "own.npz")
    except DataError as error:
        assert all(problem.message for problem in error.problems)
        return
    assert test is None and len(own.x) == len(own.labels) and np.isfinite(own.x).all()


@given(
    st.lists(st.lists(FLOATS, min_size=2, max_size=2), max_size=4),
    st.lists(st.integers(-3, 3), max_size=4) | st.lists(FLOATS, max_size=4) | st.lists(LABELS, max_size=4),
)
def test_an_archive_of_arrays(x: list[list[float]], y: list[object]) -> None:
    try:
        own, _ = read_archive(as_npz(x, y), "own.npz")
    except DataError:
        return
    assert own.x.shape == (len(y), 2)


@pytest.mark.parametrize("suffix", ["csv", "npz"])
@given(rows=TABLES, data=st.data())
def test_a_file_of_a_run(suffix: str, rows: list[tuple[list[float], str]], data: st.DataObject, tmp_path: Path) -> None:
    good = as_csv(rows) if suffix == "csv" else as_npz([values for values, _ in rows], [label for _, label in rows])
    path = tmp_path / f"own.{suffix}"
    path.write_bytes(data.draw(st.just(good) | damaged(good)))
    files = OwnFiles(suffix, str(path))
    try:
        loaded = load_own(files, digest(files))
    except DataError as error:
        assert all(str(path) in str(problem) for problem in error.problems)
        return
    assert loaded.whole is not None
    # Without classes the labels are numbers: not all of them are whole.
    assert len(loaded.classes) >= 2 or np.isfinite(loaded.whole.own.y).all()
