"""Running a program in the calling thread's network namespace, with an error that names the command."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from fedsim_runner.contract.errors import Exit, FedsimError

TIMEOUT_S = 20.0


class CommandError(FedsimError):
    """A program failed; the text holds its arguments and its output."""

    exit = Exit.LINKS


def run(arguments: Sequence[str], *, stdin: str | None = None) -> str:
    """Run a program and return its standard output.

    Raises:
        CommandError: the program is missing, failed, or took longer than 20 s.
    """
    try:
        done = subprocess.run(
            arguments, input=stdin, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, close_fds=True
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandError(" ".join(arguments), said=str(error)) from error
    if done.returncode != 0:
        raise CommandError(" ".join(arguments), said=(done.stderr or done.stdout).strip() or str(done.returncode))
    return done.stdout
