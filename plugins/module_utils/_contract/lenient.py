"""Values out of files that anybody may have written: what is not of the wanted kind is None, and nothing raises."""

from __future__ import annotations


def number(value: object) -> float | None:
    """A finite number, or None for everything else; text is parsed."""
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
    """A whole number, or None."""
    found = number(value)
    return None if found is None else int(found)


def name(value: object) -> str | None:
    """Text as it is, or None: a device's name is never guessed."""
    return value if isinstance(value, str) else None


def text(value: object) -> str | None:
    """What people read; numbers are written out."""
    return str(value) if isinstance(value, str | float) or _is_short(value) else None


def flag(value: object) -> bool | None:
    """Whether something is so; None stays None."""
    return None if value is None else bool(value)


def lines(value: object) -> tuple[str, ...]:
    """A list of lines; what is no text in it is left out."""
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list | tuple) else ()


def metrics(value: object) -> dict[str, float | None]:
    """Results by name; a value that is no finite number is None."""
    return {str(key): number(item) for key, item in value.items()} if isinstance(value, dict) else {}


def _is_short(value: object) -> bool:
    # Python refuses to write out a number of more than 4300 digits.
    return isinstance(value, int) and value.bit_length() < 1 << 12
