"""Reading values from files that cannot be trusted: a value of the wrong type becomes None, and nothing raises."""

from __future__ import annotations


def number(value: object) -> float | None:
    """Return a finite number, or None for anything else; text is parsed."""
    if isinstance(value, bool) or value is None or value == "":
        return None
    if not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if found == found and abs(found) != float("inf") else None


def whole(value: object) -> int | None:
    """Return a whole number, or None."""
    found = number(value)
    return None if found is None else int(found)


def name(value: object) -> str | None:
    """Return text unchanged, or None: a device's name is never guessed."""
    return value if isinstance(value, str) else None


def text(value: object) -> str | None:
    """Return text for people, with numbers written out, or None."""
    return str(value) if isinstance(value, str | float) or _is_short(value) else None


def flag(value: object) -> bool | None:
    """Return the truth value; None stays None."""
    return None if value is None else bool(value)


def lines(value: object) -> tuple[str, ...]:
    """Return a list of lines; anything in it that is not text is left out."""
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list | tuple) else ()


def metrics(value: object) -> dict[str, float | None]:
    """Return results by name; a value that is not a finite number becomes None."""
    return {str(key): number(item) for key, item in value.items()} if isinstance(value, dict) else {}


def _is_short(value: object) -> bool:
    # Python refuses to write out a number of more than 4300 digits.
    return isinstance(value, int) and value.bit_length() < 1 << 12
