"""The one error root, and the exit codes of fedsim-provision.

An error carries who must act (``exit``), what helps (``hint``) and what a program answered (``said``). It is printed
once, at the top: by the command line, by a module's ``fail_json``, or in the record of the agent or a participant.
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """What the shell gets."""

    DONE = 0
    SPEC = 2
    LAB = 3
    PROVISIONING = 4
    COURSE = 5
    LINKS = 6
    INTERNAL = 70
    INTERRUPTED = 130


class FedsimError(Exception):
    """Something that people can act on; its text is complete without a traceback.

    A class says in ``exit`` what the command ends with. One error may say otherwise, and may bring a ``hint`` that
    helps and what the program that failed ``said``.
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
        """What went wrong, without the hint and without what a program said."""
        return str(self.args[0])

    def __str__(self) -> str:
        """Message, what the program said, hint, joined by colons."""
        return ": ".join(part for part in (self.message, self.said, self.hint) if part)
