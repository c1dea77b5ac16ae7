"""Tables of a distribution of jitter, in the format of iproute2's ``.dist`` files."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from statistics import fmean

from ..contract.errors import Exit, FedsimError

SUFFIX = ".dist"
#: What iproute2 reads of a table at most.
MOST_NUMBERS = 16_384
MOST_BYTES = 1 << 20
#: So many are kept, which travel with every device: means of as many equal parts of a table with more.
KEPT_NUMBERS = 512


class TableError(FedsimError, ValueError):
    """The file is no table; the text says why."""

    exit = Exit.SPEC


def read_table(path: Path) -> tuple[int, ...]:
    """Return a table's numbers, of which 8192 are the jitter, in rising order.

    Raises:
        TableError: it is missing, or not of this form.
    """
    try:
        if not path.is_file():
            raise TableError("there is no such file")
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise TableError(error.strerror or "it cannot be read") from None
    if len(data) > MOST_BYTES:
        raise TableError(f"more than {MOST_BYTES >> 20} MB: too large for a table")
    numbers = []
    for count, line in enumerate(data.decode("ascii", "replace").splitlines(), 1):
        for word in line.partition("#")[0].split():
            try:
                value = int(word)
            except ValueError:
                raise TableError(f'line {count}: "{word[:20]}" is no whole number') from None
            if not -(1 << 15) <= value < 1 << 15:
                raise TableError(f"line {count}: {word[:20]} does not fit into 16 bits (-32768 to 32767)")
            numbers.append(value)
    if len(numbers) > MOST_NUMBERS:
        raise TableError(f"{len(numbers)} numbers, of which iproute2 reads {MOST_NUMBERS} at most")
    if len(set(numbers)) < 2:
        raise TableError("it is empty" if not numbers else "all of its numbers are the same, so nothing varies")
    return _condense(sorted(numbers))


def _condense(numbers: list[int]) -> tuple[int, ...]:
    count = len(numbers)
    if count <= KEPT_NUMBERS:
        return tuple(numbers)
    edges = [count * number // KEPT_NUMBERS for number in range(KEPT_NUMBERS + 1)]
    return tuple(round(fmean(numbers[start:end])) for start, end in pairwise(edges))
