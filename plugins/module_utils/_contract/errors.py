"""The one error root, and the exit codes of fedsim-provision.

An error carries who must act (``exit``), what helps (``hint``) and the output of a failed program (``said``). It is
printed once, at the top: by the command line, by a module's ``fail_json``, or in the record of the agent or a
participant.
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """The exit codes of the command."""

    DONE = 0
    SPEC = 2
    LAB = 3
    PROVISIONING = 4
    COURSE = 5
    LINKS = 6
    INTERNAL = 70
    OUTPUT = 74
    INTERRUPTED = 130
    OUTPUT_CLOSED = 141


class FedsimError(Exception):
    """A failure that people can act on; its text is complete without a traceback.

    A class sets the exit code in ``exit``. A single error may override it, and may add a ``hint`` and the output of
    the program that failed (``said``).
    """

    exit: Exit = Exit.INTERNAL
    hint: str = ""
    said: str | None = None

    def __init__(
        self, message: str, exit: Exit | None = None, hint: str | None = None, said: str | None = None
    ) -> None:
        super().__init__(message)
        if exit is not None:
            self.exit = exit
        if hint is not None:
            self.hint = hint
        if said is not None:
            self.said = said

    @property
    def message(self) -> str:
        """What went wrong, without the hint and the output of a program."""
        return str(self.args[0])

    def __str__(self) -> str:
        """Return message, program output and hint, joined by colons."""
        return ": ".join(part for part in (self.message, self.said, self.hint) if part)
