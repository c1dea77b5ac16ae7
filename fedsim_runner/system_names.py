"""Names from the operating system, which are bytes: paths, and variables of the environment."""

from __future__ import annotations


def is_utf8(name: str) -> bool:
    """Whether a name is UTF-8; Python keeps other bytes as characters that no file of text can hold (PEP 383)."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
