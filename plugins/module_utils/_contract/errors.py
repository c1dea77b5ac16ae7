"""Exit codes of fedsim-provision, and the error that carries one."""

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
    """A command ends with ``code`` and this one message."""

    def __init__(self, message: str, code: Exit) -> None:
        super().__init__(message)
        self.code = code


# By the stage that failed. Stages that are not named here are provisioning.
STAGE_EXIT = {
    "preflight": Exit.LAB,
    "lab host": Exit.LAB,
    "doctor": Exit.LAB,
    "course": Exit.COURSE,
    "collect": Exit.COURSE,
    "report": Exit.COURSE,
    "verdict": Exit.COURSE,
}


def exit_for_stage(stage: str | None, wanted: int | None = None) -> Exit:
    """The exit code of a playbook that failed in ``stage``; ``wanted`` is what the failed module asks for."""
    if wanted is not None and wanted in set(Exit):
        return Exit(wanted)
    return STAGE_EXIT.get(stage or "", Exit.PROVISIONING)
