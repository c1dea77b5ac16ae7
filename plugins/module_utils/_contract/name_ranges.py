"""Many device names in few words, as Ansible writes ranges of hosts: ``pi-[1:300]`` is ``pi-1`` to ``pi-300``.

A run has a device file for each of its lab hosts, and each of them knows all devices. With a name for each device in
each file, files would grow with devices times lab hosts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from .errors import Exit, FedsimError

_RANGE: Final = re.compile(r"(.*)\[(0|[1-9][0-9]{0,8}):([1-9][0-9]{0,8})\]")
#: Names that one range may stand for: more are a mistake, and would fill the memory.
MOST: Final = 1_000_000


class NameRangeError(FedsimError, ValueError):
    """Text that looks like a range of names and is none."""

    exit = Exit.SPEC


def fold(names: Iterable[str]) -> list[str]:
    """Return the names with each run of consecutive numbers as a range, in the same order."""
    return [write_range(first, count) for first, count in runs(names)]


def unfold(ranges: Iterable[str]) -> Iterator[str]:
    """Yield the names that ranges and single names stand for, in order.

    Raises:
        NameRangeError: one is not of the form.
    """
    for text in ranges:
        if "[" not in text:
            yield text
            continue
        found = _RANGE.fullmatch(text)
        first, last = (int(found[2]), int(found[3])) if found is not None else (0, 0)
        if found is None or not first < last < first + MOST:
            raise NameRangeError(f"{text!r} is not a range of names such as 'pi-[1:300]'")
        for number in range(first, last + 1):
            yield f"{found[1]}{number}"


def write_range(first: str, count: int) -> str:
    """Return the range of so many names, from this one on; a single name is itself.

    Raises:
        NameRangeError: there are several, and this one does not end in a number.
    """
    if count == 1:
        return first
    stem, number = split_name(first)
    if number is None:
        raise NameRangeError(f"{first!r} does not end in a number, so no range begins with it")
    return f"{stem}[{number}:{number + count - 1}]"


def runs(names: Iterable[str]) -> Iterator[tuple[str, int]]:
    """Yield the first name of each run of consecutive numbers, and how many names it has."""
    first, count, expected = "", 0, ""
    for name in names:
        if count and name == expected:
            count += 1
        else:
            if count:
                yield first, count
            first, count = name, 1
        expected = following(name)
    if count:
        yield first, count


def following(name: str) -> str:
    """Return the name with the next number; empty: this one does not end in a number as ranges write it."""
    stem, number = split_name(name)
    return "" if number is None else f"{stem}{number + 1}"


def split_name(name: str) -> tuple[str, int | None]:
    """Return a name's stem and number; None: it does not end in a number, or in one with zeros in front."""
    stem = name.rstrip("0123456789")
    digits = name[len(stem) :]
    if not digits or len(digits) > 9 or (digits[0] == "0" and digits != "0"):
        return name, None
    return stem, int(digits)
