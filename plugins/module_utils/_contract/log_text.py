"""Making text written by participants fit to be shown to people."""

from __future__ import annotations

import re

# ECMA-48, in its 7-bit and 8-bit forms: control sequences (colours, the cursor), strings with their content (titles,
# links, the clipboard), which run to the end of the text if nothing ends them, and other escape sequences.
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[PX\]^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]"
)
# Characters that control a terminal, break a line elsewhere than at its end, change the direction of the text around
# them (Unicode Technical Report 36), or are no characters at all.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[-+]?\d+)?")
# Participants may write anything: longer lines are cut.
_LONGEST_SHOWN = 1000


def harmless(text: str) -> str:
    """Return text without escape sequences and characters that control a terminal; tabs and line ends stay."""
    if text.isprintable():
        return text
    return _CONTROL.sub("", _SEQUENCE.sub("", text))


def clean(line: str) -> str:
    """Return the line without colours, other escape sequences and line end."""
    return _SEQUENCE.sub("", line).rstrip("\r\n")


def shown(text: str) -> str:
    """Return text as a line fit to be shown to people: cut to a limit, and harmless."""
    return harmless(text[:_LONGEST_SHOWN]).replace("\n", "")


def without_numbers(text: str) -> str:
    """Return what is left of a line if numbers do not count, to find lines that say the same."""
    return _NUMBER.sub("#", text)
