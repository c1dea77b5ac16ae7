"""Reading the output of pip."""

from __future__ import annotations


def pip_errors(output: str) -> str:
    """Return the lines of pip's output that say what went wrong."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return " ".join([line for line in lines if line.startswith("ERROR")] or lines[-2:])
