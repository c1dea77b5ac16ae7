"""Standard output and standard error that never break what is going on.

A reader may go away (``| head``), the disk under a file may be full, a terminal may be closed, or lack a character.
Python raises an exception from whatever prints next, in whatever thread; rich ends the process.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from ..contract.errors import Exit, FedsimError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

#: Handler for characters that the encoding lacks; each is replaced by one character, so that tables stay aligned.
REPLACE = "fedsim-lookalike"
# What we draw with. Rich itself replaces the frames of its tables.
LOOKALIKES = str.maketrans("✓✗±…–—→▁▂▃▄▅▆▇█▏▎▍▌▋▊▉░", "+x~.-->__..--##.....##.")


class OutputLostError(FedsimError):
    """Standard output cannot be written (any more)."""

    def __init__(self, name: str, cause: OSError) -> None:
        # As for any program that SIGPIPE ends: `set -o pipefail` notices, and a shell prints nothing.
        code = Exit.OUTPUT_CLOSED if cause.errno == errno.EPIPE else Exit.OUTPUT
        super().__init__(f"{name} cannot be written: {cause.strerror}", code)


class StandardStream(io.TextIOWrapper):
    """A standard stream. What cannot be written is dropped; whether that raises an error depends on :func:`outlived`.

    Args:
        descriptor: the number of the open file.
        name: what messages call it.
        encoding: its encoding; characters that it lacks are replaced.
        line_buffering: whether each line is written at once.
    """

    def __init__(self, descriptor: int, name: str, encoding: str, line_buffering: bool) -> None:
        self._target = _Descriptor(descriptor, name)
        super().__init__(
            io.BufferedWriter(self._target), encoding=encoding, errors=REPLACE, line_buffering=line_buffering
        )

    @property
    def lost(self) -> OutputLostError | None:
        """Why nothing can be written any more; None while it can."""
        return self._target.lost

    @contextmanager
    def outlived(self) -> Iterator[None]:
        """In this block a loss raises no error: the caller looks at :attr:`lost`."""
        before, self._target.raises = self._target.raises, False
        try:
            yield
        finally:
            self._target.raises = before


class _Descriptor(io.RawIOBase):
    def __init__(self, number: int, name: str) -> None:
        self._number = number
        self._name = name
        self.lost: OutputLostError | None = None
        self.raises = True

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._number

    def isatty(self) -> bool:
        return os.isatty(self._number)

    def write(self, data: ReadableBuffer, /) -> int:
        size = memoryview(data).nbytes
        if self.lost is not None:
            return size
        try:
            return self._write(data)
        except OSError as error:
            self.lost = OutputLostError(self._name, error)
            if self.raises:
                raise self.lost from error
            return size

    def _write(self, data: ReadableBuffer) -> int:
        while True:
            try:
                return os.write(self._number, data)
            except BlockingIOError:  # another program made it non-blocking
                poll = select.poll()
                poll.register(self._number, select.POLLOUT)
                poll.poll()


def install() -> None:
    """Use such streams from now on."""
    sys.stdout = _wrap(sys.stdout, 1, "standard output")
    sys.stderr = _wrap(sys.stderr, 2, "standard error")


@contextmanager
def outlived(stream: object) -> Iterator[None]:
    """:meth:`StandardStream.outlived` for any stream: others behave as they do."""
    if isinstance(stream, StandardStream):
        with stream.outlived():
            yield
    else:
        yield


def loss_of(stream: object) -> OutputLostError | None:
    """Why nothing can be written to a stream any more; None while it can, and for other kinds of streams."""
    return stream.lost if isinstance(stream, StandardStream) else None


def _wrap(stream: TextIO | None, descriptor: int, name: str) -> StandardStream:
    # Python has none for a descriptor that was closed when it started.
    encoding, by_line = ("utf-8", True) if stream is None else (stream.encoding, bool(stream.line_buffering))
    return StandardStream(descriptor, name, encoding, by_line)


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_lookalike, error.object[error.start : error.end])), error.end


def _lookalike(character: str) -> str:
    plain = unicodedata.normalize("NFKD", character.translate(LOOKALIKES))[0]
    return plain if plain.isascii() else "?"


codecs.register_error(REPLACE, _replace)
