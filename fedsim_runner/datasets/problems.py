"""The mistakes in the user's data files, worded so that they can be fixed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..contract.errors import Exit, FedsimError

# Further mistakes in the same file are counted, not listed.
LISTED = 10


@dataclass(frozen=True)
class DataProblem:
    """One mistake. ``line`` counts from 1; 0: the file as a whole. ``key``: the key under ``data`` that caused it."""

    file: str
    line: int
    message: str
    hint: str | None = None
    key: str | None = None

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.message}" + (f" ({self.hint})" if self.hint else "")


class DataError(FedsimError, ValueError):
    """All mistakes found in the user's data files."""

    exit = Exit.SPEC

    def __init__(self, problems: Iterable[DataProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class Findings:
    """Collects the mistakes of one file; the first ten are listed."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._listed: list[DataProblem] = []
        self._more = 0

    def add(self, line: int, message: str, hint: str | None = None, key: str | None = None) -> None:
        """Add a mistake in a line of the file."""
        if len(self._listed) < LISTED:
            self._listed.append(DataProblem(self._file, line, message, hint, key))
        else:
            self._more += 1

    @property
    def has_any(self) -> bool:
        """Whether a mistake was found."""
        return bool(self._listed)

    @property
    def has_many(self) -> bool:
        """Whether so many were found that it is not worth looking for more."""
        return self._more >= 1000

    def close(self) -> None:
        """Finish the file.

        Raises:
            DataError: a mistake was found.
        """
        self._listed.sort(key=lambda problem: problem.line)
        if self._more:
            more = "many" if self.has_many else str(self._more)
            message = f"has {more} more mistakes than the {LISTED} that are listed"
            self._listed.append(DataProblem(self._file, 0, message))
        if self._listed:
            raise DataError(self._listed)
