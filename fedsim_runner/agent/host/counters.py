"""A link's counters, from a process's ``/proc/<pid>/net/dev``."""

from __future__ import annotations

import re

from fedsim_runner.contract.link import INTERFACE

_LINE = re.compile(rf"^\s*{INTERFACE}:(.*)$", re.MULTILINE)


def read(text: str) -> list[str] | None:
    """Bytes, packets and drops received, then the same for sent; None if the device has no link."""
    found = _LINE.search(text)
    if found is None:
        return None
    columns = found[1].split()
    return [columns[0], columns[1], columns[3], columns[8], columns[9], columns[11]]
