"""Text files with a table, as users have them: what a file holds, its lines, and the cells of a line."""

from __future__ import annotations

import csv
import math
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from ..yamlfile.document import Document
from ..yamlfile.spec_errors import PathPart, SpecError

SIZE_MAX: Final = 64 * 2**20
#: Characters. A longer line is no row of a table with some columns.
LINE_MAX: Final = 100_000
#: Of so many mistakes in one file each is named.
NAMED_MAX: Final = 10
#: Seconds above this (the year 5138, as Unix time) are another unit.
SECONDS_MAX: Final = 1e11
#: How files that are no text begin, what they are, and what helps.
_KINDS: Final = (
    (b"\x1f\x8b", "is compressed (gzip)", "unpack it with gunzip"),
    (b"BZh", "is compressed (bzip2)", "unpack it with bunzip2"),
    (b"\xfd7zXZ", "is compressed (xz)", "unpack it with unxz"),
    (b"\x28\xb5\x2f\xfd", "is compressed (zstd)", "unpack it with unzstd"),
    (b"PK\x03\x04", "is a zip archive or a spreadsheet", "unpack it, or save it as CSV"),
    (b"PAR1", "is a Parquet file", "save it as CSV"),
    *((b"\x80%c" % version, "is a Python pickle", "write what it holds as CSV") for version in range(2, 6)),
    (b"\xff\xfe", "is UTF-16 text", "save it as UTF-8"),
    (b"\xfe\xff", "is UTF-16 text", "save it as UTF-8"),
    (b"version https://git-lfs", "is a pointer of Git LFS in place of the file", "get the file with git lfs pull"),
)
_WITH_UNIT: Final = re.compile(r"[-+]?[0-9.]+(?:e[-+]?[0-9]+)?\s*[A-Za-zµ/]+", re.ASCII | re.IGNORECASE)

#: Reports a mistake: its line (0: of the file as a whole), what is wrong, and how to fix it.
Report = Callable[[int, str, str | None], None]
#: A line with its number.
Line = tuple[int, str]


def read_lines(path: Path, what: str, report: Report) -> list[Line] | None:
    """Return the lines that say something, with their numbers; None: it cannot be read as text, which is reported.

    Blank lines, lines that begin with ``#``, a byte-order mark and Windows' line ends are left out.

    Args:
        path: the file.
        what: what it should be, for a hint.
        report: takes mistakes.

    Raises:
        OSError: it cannot be read.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        report(0, "is not a regular file", what)  # a pipe would wait for a writer, and a device may have no end
        return None
    with path.open("rb") as file:
        content = file.read(SIZE_MAX + 1)
    if len(content) > SIZE_MAX:
        report(0, f"is larger than {SIZE_MAX >> 20} MB", "cut the trace")
        return None
    for start, kind, hint in _KINDS:
        if content.startswith(start):
            report(0, kind, hint)
            return None
    try:
        lines = list(_lines(content.decode("utf-8-sig")))
    except UnicodeDecodeError as error:
        report(content.count(b"\n", 0, error.start) + 1, "is not UTF-8 text", what)
        return None
    if not lines:
        report(0, "is empty", what)
        return None
    longest = max(lines, key=lambda line: len(line[1]))
    if len(longest[1]) > LINE_MAX:
        report(longest[0], f"a line of {len(longest[1]):,} characters", what)
        return None
    return lines


def separator_of(line: str) -> str | None:
    """What separates the cells of a table, after its first line; None: blanks or tabs, as many as there are."""
    found = [mark for mark in ",;\t" if mark in line]
    return max(found, key=line.count) if found else None


def cells_of(line: str, separator: str | None) -> list[str]:
    """The cells of a line, without what surrounds them."""
    if separator is None:
        return [cell.strip('"') for cell in line.split()]
    return [cell.strip() for cell in next(csv.reader([line], delimiter=separator, skipinitialspace=True))]


def named_mistakes(path: Path, mistakes: list[SpecError]) -> list[SpecError]:
    """The first mistakes of a file, and how many more there are."""
    rest = mistakes[NAMED_MAX:]
    if not rest:
        return mistakes
    text = f"and {len(rest)} more mistakes from here on"
    return [*mistakes[:NAMED_MAX], SpecError(str(path), rest[0].line, 0, "", text)]


def take_mistakes(mistakes: Iterable[SpecError], name: str, at: tuple[PathPart, ...], document: Document) -> None:
    """Add a file's mistakes to those of the experiment file; of the file as a whole, where that names it.

    Args:
        mistakes: of the file.
        name: as the experiment file has it.
        at: where.
        document: the experiment file.
    """
    for one in mistakes:
        if one.line:
            document.errors.append(one)
        else:
            document.report(at, f"{name}: {one.message}", one.hint)


def number_in(cell: str) -> float | None:
    """The finite number that a cell is; None: it is none."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in cell else None


def why_no_number(cell: str) -> str | None:
    """What helps where a cell should be a number and is none."""
    if cell.lower() in ("", "-", "na", "n/a", "nan", "null", "none"):
        return "remove the row: the values of the row before it hold on"
    if cell.count(",") == 1 and number_in(cell.replace(",", ".")) is not None:
        return "write decimals with a point, and thousands without a mark"
    if cell.count(":") > 1 or (cell.count("-") > 1 and cell[:4].isdigit()):
        return "give times as a number, such as Unix time"
    if number_in(cell.rstrip("%").rstrip()) is not None:
        return "a column of percentages is called loss_percent, and has bare numbers"
    if _WITH_UNIT.fullmatch(cell):
        return "write the bare number: its unit is in the column's name"
    return None


def _lines(text: str) -> Iterator[Line]:
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.strip(" \r\n")
        if bare.strip() and not bare.startswith("#"):
            yield number, bare
