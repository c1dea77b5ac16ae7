"""A link's counters, from a process's ``/proc/<pid>/net/dev``."""

from __future__ import annotations

from fedsim_runner.contract.link import INTERFACE


def read(text: str) -> list[str] | None:
    """Bytes, packets and drops received, then the same for sent; None if the device has no link."""
    for line in text.splitlines():
        name, colon, counters = line.partition(":")
        if colon and name.strip() == INTERFACE:
            columns = counters.split()
            return [columns[0], columns[1], columns[3], columns[8], columns[9], columns[11]]
    return None
