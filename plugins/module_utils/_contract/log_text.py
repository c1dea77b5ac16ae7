"""Making text written by participants fit to be shown to people."""

from __future__ import annotations

import re

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
# Participants may write anything: longer lines are cut.
_LONGEST_SHOWN = 1000


def clean(line: str) -> str:
    """Return the line without colours and line end."""
    return _ANSI.sub("", line).rstrip("\r\n")


def shown(text: str) -> str:
    """Return a line fit to be shown to people: cut to a limit, and without characters that control a terminal."""
    return _CONTROL.sub("", text[:_LONGEST_SHOWN])
