"""What pip printed."""

from __future__ import annotations


def pip_errors(output: str) -> str:
    """Of what pip printed the lines that say what is wrong."""
    said = [line.strip() for line in output.splitlines() if line.strip()]
    return " ".join([line for line in said if line.startswith("ERROR")] or said[-2:])
