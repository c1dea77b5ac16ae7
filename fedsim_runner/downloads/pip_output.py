"""What pip says when it fails."""

from __future__ import annotations

from itertools import pairwise

# Ends what a package's own build wrote, which pip shows indented before a last word of its own.
_END_OF_BUILD = "[end of output]"


def pip_errors(output: str) -> str:
    """Return the lines of pip's output that say what went wrong."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    builds = [before for before, line in pairwise(lines) if line == _END_OF_BUILD]
    errors = [line for line in lines if line.startswith("ERROR")]
    return " ".join(dict.fromkeys([*builds, *errors])) or " ".join(lines[-2:])
