"""Text that participants write, as it may be shown to people."""

from __future__ import annotations

import re

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
# Participants write what they like: longer lines are cut.
_LONGEST_SHOWN = 1000


def clean(line: str) -> str:
    """The line without colours and line end."""
    return _ANSI.sub("", line).rstrip("\r\n")


def shown(text: str) -> str:
    """A line as it may be shown to people: not endless, and without what would steer a terminal."""
    return _CONTROL.sub("", text[:_LONGEST_SHOWN])
