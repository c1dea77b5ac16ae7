"""Calling a program, whose failure is an error that shows what it said."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence

LONGEST_S = 600.0


class LabError(Exception):
    """Something of the lab cannot be made or done; the text says what, and what the program said."""


def call(command: Sequence[str], *, stdin: str = "", timeout_s: float = LONGEST_S) -> str:
    """Run a program and return its standard output.

    Args:
        command: its words.
        stdin: what it reads.
        timeout_s: seconds that it may take.

    Raises:
        LabError: it failed, took too long, or does not exist.
    """
    try:
        outcome = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabError(f"{shlex.join(command)}: {error}") from error
    if outcome.returncode != 0:
        said = (outcome.stderr.strip() or outcome.stdout.strip())[-2000:]
        raise LabError(f"{shlex.join(command)}: exit code {outcome.returncode}\n{said}")
    return outcome.stdout
