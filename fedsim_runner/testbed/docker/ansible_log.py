"""Ansible's full output as a file that a run can do without: a full disk must not keep it from being torn down."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Protocol

from fedsim_runner.contract.atomic import AppendFile, CannotWriteError


class Log(Protocol):
    """What output can be written to."""

    def write(self, text: str, /) -> object:
        """Add some text."""


class AnsibleLog:
    """A file to which output is added as far as that is possible."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_whole = True
        self._file: AppendFile | None = None
        try:
            self._file = AppendFile(path)
        except CannotWriteError:
            self._is_whole = False

    @property
    def path(self) -> Path | None:
        """The file; None if a part of the output is missing from it."""
        return self._path if self._is_whole else None

    def write(self, text: str) -> None:
        """Add some text."""
        if self._file is None:
            return
        try:
            # Names of files need not be valid text.
            self._file.append(text.encode("utf-8", "backslashreplace"))
        except CannotWriteError:
            self._is_whole = False

    def close(self) -> None:
        """Nothing more is added."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
