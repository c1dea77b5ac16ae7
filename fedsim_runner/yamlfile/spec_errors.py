"""The mistakes of an experiment file, worded so that they can be fixed without the manual."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..contract.errors import Exit, FedsimError

PathPart = str | int

_LONG_WORD = re.compile(r"\S{201,}")

DATA_NOT_AT_HAND = "data not at hand"
PACKAGES_NOT_AT_HAND = "packages not at hand"
#: Topics of what is no mistake: with the data or packages there, the same file is accepted.
NOT_AT_HAND = frozenset({DATA_NOT_AT_HAND, PACKAGES_NOT_AT_HAND})


@dataclass(frozen=True, order=True)
class SpecError:
    """One mistake. ``line`` and ``column`` count from 1; 0: it concerns the file as a whole.

    ``topic``: in a few words what the course is about, where that as a whole is impossible here, or what is not at
    hand for it (:data:`NOT_AT_HAND`); empty: something can be corrected.
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    hint: str | None = None
    topic: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        what = f"{self.path}: {self.message}" if self.path else self.message
        text = f"{where}: {_shorten(f'{what} ({self.hint})' if self.hint else what)}"
        # Text from a file may be shown, but must not control the terminal or look like a second error.
        return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


class SpecErrors(FedsimError):
    """All mistakes of an experiment file: first what is impossible as a whole, then in the order of the file."""

    exit = Exit.SPEC

    def __init__(self, errors: Iterable[SpecError]) -> None:
        self.errors: tuple[SpecError, ...] = tuple(sorted(set(errors), key=_order))
        super().__init__(str(self))

    def __str__(self) -> str:
        return "\n".join(map(str, self.errors))

    def counted(self, where: str) -> FedsimError:
        """Return all mistakes and their number as one error; ``where`` is what the user calls the file."""
        count = len(self.errors)
        return FedsimError(f"{self}\n{count} mistake{'s' if count > 1 else ''} in {where}", self.exit)


def _shorten(text: str) -> str:
    """Cut words that nobody reads to their end, such as a file's content in place of its name."""
    return _LONG_WORD.sub(lambda found: f"{found[0][:60]}...{found[0][-20:]}", text)


def _order(error: SpecError) -> tuple[int, str, int, int, str, str]:
    # Nobody should correct ten keys only to learn that it was in vain.
    rank = 2 if not error.topic else 1 if error.topic in NOT_AT_HAND else 0
    return (rank, error.file, error.line, error.column, error.path, error.message)


def format_path(path: Sequence[PathPart]) -> str:
    """Write a path in the form ``devices[2].network``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text
