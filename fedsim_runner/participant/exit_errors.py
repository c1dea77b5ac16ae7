"""Errors and exit codes with which a participant ends when it cannot continue."""

from __future__ import annotations

from ..contract.errors import Exit, FedsimError

EXIT_FAILED = 1
EXIT_UNSUPPORTED = 2
EXIT_TERMINATED = 143  # 128 + SIGTERM, as a shell reports it


class ParticipantError(FedsimError):
    """A known reason to end with exit code 1; the text is one line."""

    exit = Exit.COURSE


class UnsupportedError(ParticipantError):
    """A configuration that this engine refuses (exit code 2); the text names every key."""
