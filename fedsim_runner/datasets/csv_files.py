"""The user's CSV files: numbers in every column except one, which has the label."""

from __future__ import annotations

import csv
import difflib
import io
import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .problems import DataError, DataProblem, Findings

# Python's pandas writes a column of row numbers without a name, and calls a column without a name so.
_NAMELESS = re.compile(r"(Unnamed: \d+)?")
_NO_INDEX = "leave row numbers out (pandas: to_csv(path, index=False))"
_NO_CATEGORIES = (
    "features are numbers, and a category is a column of 0 and 1 for each value (pandas: get_dummies); data.label "
    "names the label"
)
# Values of a column that says to which part a sample belongs.
_PARTS = ("train", "val", "valid", "validation", "dev", "test")
_NO_PARTS = (
    "the testbed splits itself: leave the column out, see data.test_fraction; with split: files the server's own file "
    "is the test set"
)
_MORE = "put text with a comma in quotes"
_HINTS_ON_WIDTH = {1: f"{_MORE}; if all lines have one more, {_NO_INDEX}"}
# With fewer rows a feature may happen to count them.
_COUNTED_ROWS = 10

# As Python's float: NumPy would warn where it compares its own with a larger number.
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Table:
    """The rows of a CSV file. ``labels`` are as written, without surrounding spaces; ``lines`` are where rows start."""

    features: npt.NDArray[np.float32]
    labels: Sequence[str]
    lines: Sequence[int]
    columns: tuple[str, ...]  # names, or "column 0", ... if the file has none
    label_column: str


def read_table(data: bytes, file: str, label: str | int | None, header: bool | None) -> Table:
    """Read the rows of a comma-separated file in UTF-8; empty lines are skipped.

    Args:
        data: the file's content.
        file: its name in errors.
        label: the label's column, by name or by number from 0 (negative: from the end); None: the last.
        header: whether the first line has the column names; None: it has, unless it has only numbers, which is
            rejected as ambiguous.

    Raises:
        DataError: the mistakes in it, each with its line.
    """
    text = _decode(data, file)
    findings = Findings(file)
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    names: list[str] | None = None
    width = place = 0
    features, labels, lines = array("f"), list[str](), array("L")
    has_underscores = "_" in text  # Python reads 1_000 as a number
    start = 1
    try:
        for row in rows:
            line, start = start, rows.line_num + 1
            if not row or (len(row) == 1 and not row[0].strip()):
                continue
            if names is None:
                names = _read_names(row, file, line, header)
                width, place = len(names), _find_label(names, label, header, file, line)
                _check_named(names, label, file, line)
                if header is not False:
                    continue
            if len(row) != width:
                hint = _HINTS_ON_WIDTH.get(len(row) - width, _MORE if len(row) > width else None)
                findings.add(line, f"has {len(row)} columns, the first line has {width}", hint)
                continue
            written = row.pop(place).strip()
            try:
                if has_underscores and any("_" in cell for cell in row):
                    raise ValueError
                numbers = array("f", map(float, row))
            except (ValueError, OverflowError):
                _report_bad_cells(row, names, place, line, findings)
                if findings.has_many:
                    break
                continue
            if not written:
                findings.add(
                    line, f"{_describe_column(names[place])}: the label is empty", "give it, or remove the row"
                )
            features.extend(numbers)
            labels.append(written)
            lines.append(line)
    except csv.Error as error:
        findings.add(start, f"cannot be read as CSV: {error}")
    if names is None:
        findings.add(0, "is empty")
    elif not labels and not findings.has_any:
        findings.add(0, "has no rows below the column names" if header is not False else "has no rows")
    matrix = np.array(features, dtype=np.float32).reshape(len(labels), max(width - 1, 0))
    if names is not None:
        if header is None:
            _check_no_sample(names, place, labels, findings)
        _check_finite(matrix, names, place, lines, findings)
        if header is False and place != 0:
            _check_no_index(matrix, lines, findings)
    findings.close()
    found = tuple(names or ())
    return Table(matrix, labels, lines, found, found[place])


def _decode(data: bytes, file: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"is not UTF-8: byte 0x{data[error.start]:02x}"
        raise DataError([DataProblem(file, line, message, "save the file as UTF-8")]) from error


def _read_names(row: list[str], file: str, line: int, header: bool | None) -> list[str]:
    if len(row) == 1:
        hint = None
        for separator, name in ((";", "semicolons"), ("\t", "tabs")):
            if separator in row[0]:
                hint = f"it has {name}: save it with commas"
        message = "has only one column: it needs a label and at least one feature, separated by commas"
        raise DataError([DataProblem(file, line, message, hint)])
    if header is False:
        return [f"column {number}" for number in range(len(row))]
    if header is None and all(map(_is_number, row)):
        message = "is the first line and has only numbers: are they column names, or a sample?"
        hint = "write header: false if it is a sample, header: true if these are names"
        raise DataError([DataProblem(file, line, message, hint, key="header")])
    return [cell.strip() for cell in row]


def _find_label(names: list[str], label: str | int | None, header: bool | None, file: str, line: int) -> int:
    def wrong(message: str, hint: str | None = None) -> DataError:
        return DataError([DataProblem(file, line, message, hint, key="label")])

    if label is None:
        return len(names) - 1
    if isinstance(label, int):
        if not -len(names) <= label < len(names):
            raise wrong(f"has {len(names)} columns, so there is no column {label}", "columns are counted from 0")
        return label % len(names)
    if header is False:
        raise wrong(f'has no column names, so no column is named "{label}"', "give the column's number, counted from 0")
    if names.count(label) > 1:
        raise wrong(f'has {names.count(label)} columns named "{label}"', "give the column's number, counted from 0")
    if label not in names:
        near = difflib.get_close_matches(label, names, 1)
        columns = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        raise wrong(f'has no column "{label}"', f'did you mean "{near[0]}"?' if near else f"it has {columns}")
    return names.index(label)


def _check_named(names: list[str], label: str | int | None, file: str, line: int) -> None:
    """Reject columns without a name: row numbers are not features. A label may be given by its number."""
    given = label % len(names) if isinstance(label, int) else None
    nameless = [number for number, name in enumerate(names) if number != given and _NAMELESS.fullmatch(name)]
    if nameless:
        message = f"column {nameless[0]} has no name"
        hint = f"{_NO_INDEX}, or give it one" if nameless[0] == 0 else "give it one, or remove it"
        raise DataError([DataProblem(file, line, message, f"{hint}; columns are counted from 0")])


def _check_no_sample(names: list[str], place: int, labels: Sequence[str], findings: Findings) -> None:
    """Report a first line of numbers and a label that others have, too: it would be taken for the names of columns."""
    if names[place] in labels and all(_is_number(name) for number, name in enumerate(names) if number != place):
        message = f'is the first line and looks like a sample with the label "{names[place]}": are these column names?'
        hint = "write header: false if it is a sample, header: true if these are names"
        findings.add(1, message, hint, key="header")


def _check_no_index(matrix: npt.NDArray[np.float32], lines: Sequence[int], findings: Findings) -> None:
    """Report a first column of row numbers in a file without names."""
    rows = len(matrix)
    if rows >= _COUNTED_ROWS and matrix[0, 0] in (0, 1) and (np.diff(matrix[:, 0]) == 1).all():
        hint = f"{_NO_INDEX}; if it is a feature, give the columns names in a first line, and write header: true"
        findings.add(lines[0], f"column 0 counts the rows from {matrix[0, 0]:g}, which is no feature", hint)


def _report_bad_cells(row: list[str], names: list[str], place: int, line: int, findings: Findings) -> None:
    features = [name for number, name in enumerate(names) if number != place]
    for name, cell in zip(features, row, strict=True):
        if not cell.strip():
            findings.add(line, f"{_describe_column(name)}: is empty", "give a number, or remove the row")
        elif not _is_number(cell):
            shown = cell if len(cell) <= 40 else f"{cell[:37]}..."
            hint = _NO_PARTS if cell.strip().lower() in _PARTS else _NO_CATEGORIES
            findings.add(line, f'{_describe_column(name)}: "{shown}" is not a number', hint)
        elif abs(float(cell)) > _LARGEST:
            findings.add(line, f"{_describe_column(name)}: {cell.strip()} is too large or not finite")


def _check_finite(
    matrix: npt.NDArray[np.float32], names: list[str], place: int, lines: Sequence[int], findings: Findings
) -> None:
    features = [name for number, name in enumerate(names) if number != place]
    for row, column in np.argwhere(~np.isfinite(matrix)).tolist():
        findings.add(
            lines[row], f"{_describe_column(features[column])}: is not a finite number", "give one, or remove the row"
        )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def _describe_column(name: str) -> str:
    return name if name.startswith("column ") else f'column "{name}"'
