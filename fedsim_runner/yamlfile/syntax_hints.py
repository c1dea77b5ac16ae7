"""What helps where a text is not YAML: what people and the programs that they copy from put into it."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

#: The parser notices some mistakes so many lines later, as a plain text may go on there.
LINES_BEFORE: Final = 3
#: What looks like something of YAML and is none.
_LOOKALIKES: Final = {
    "\u00a0": "a space",
    "\u202f": "a space",
    "\u3000": "a space",
    "\uff1a": "a colon",
    "\uff0c": "a comma",
    "\u2013": "a hyphen",
    "\u2014": "a hyphen",
    "\u201c": "a quotation mark",
    "\u201d": "a quotation mark",
    "\u2018": "a quotation mark",
    "\u2019": "a quotation mark",
}
_NO_SPACE: Final = re.compile(r"^\s*(?:- )?[A-Za-z_]\w*:[^\s/]")


def syntax_hint(text: str, line: int) -> str | None:
    """Return what may be wrong at a line, counted from 1, or just before it; None: nothing is known."""
    lines = text.splitlines()
    around = lines[max(0, line - 2) : line]
    if any("\t" in part[: len(part) - len(part.lstrip())] for part in around):
        return "indent with spaces, not tabs"
    if around and re.search(r":\s+[*&!%@`]", around[-1]):
        return "put text that starts with a special character in quotes"
    if around and re.search(r"^[^{\[\"']*:\s[^{\[\"']*:(\s|$)", around[-1]):
        return "put text that has a colon in it in quotes, or give each key a line"
    first = max(1, line - LINES_BEFORE)
    for number in range(line, first - 1, -1):
        part = lines[number - 1].partition(" #")[0] if number <= len(lines) else ""
        for letter, meant in _LOOKALIKES.items():
            if letter in part:
                return f"line {number} has a {unicodedata.name(letter).lower()} where {meant} may be meant"
        if not part.lstrip().startswith("#") and _NO_SPACE.match(part):
            return f"a space follows the colon after a key: see line {number}"
    return None
