"""Which part of FederatedScope's data a single device gets, as each participant's own YAML says in distributed mode.

In ``devices[].federatedscope``, ``data.file_path`` names a file of the device's own, and ``distribute.data_idx`` the
number of its part of a data set. Both are for the loader alone; no participant sees them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..catalog.data_sets import FEDERATEDSCOPE
from ..yamlfile.document import Document
from .data_section import make_absolute
from .schema import DeviceEntry
from .testbed_keys import LOADED_BY_FEDERATEDSCOPE

FILE, NUMBER = ("data", "file_path"), ("distribute", "data_idx")
_SECTIONS = {FILE[0]: FILE[1], NUMBER[0]: NUMBER[1]}


def without_data(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A device's settings without its part of the data."""
    rest = copy.deepcopy(dict(settings))
    for section, key in _SECTIONS.items():
        below = rest.get(section)
        if isinstance(below, dict) and key in below:
            del below[key]
            if not below:
                del rest[section]
    return rest


def data_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What :func:`without_data` leaves out."""
    found: dict[str, Any] = {}
    for section, key in _SECTIONS.items():
        below = settings.get(section)
        if isinstance(below, Mapping) and key in below:
            found[section] = {key: below[key]}
    return found


def have_own_files(entries: Sequence[DeviceEntry | None]) -> bool:
    """Whether every client has a file of its own."""
    own = [data_of(entry.federatedscope or {}) for entry in entries if entry is not None and entry.role == "client"]
    return bool(own) and all(FILE[0] in one for one in own)


def read_device_data(
    entries: Sequence[DeviceEntry | None], dataset: str, kind: str | None, document: Document, folder: Path
) -> dict[int, dict[str, Any]]:
    """Return each entry's part of the data, in FederatedScope's form, by its place; wrong ones are reported.

    Args:
        entries: None: an invalid entry.
        dataset: the experiment's.
        kind: FederatedScope's ``data.type``; None: it is not known.
        document: the experiment file.
        folder: where relative paths start.
    """
    found = {}
    for number, entry in enumerate(entries):
        own = data_of((entry.federatedscope if entry is not None else None) or {})
        before = len(document.errors)
        if own:
            _check(own, dataset, kind, document.below(("devices", number, "federatedscope")), folder)
        if own and len(document.errors) == before:
            found[number] = own
    return found


def _check(own: dict[str, Any], dataset: str, kind: str | None, document: Document, folder: Path) -> None:
    """Report what is wrong; a path becomes absolute."""
    if dataset != FEDERATEDSCOPE:
        for section, below in own.items():
            for key in below:
                message = f"is for data set federatedscope, and the experiment's is {dataset}"
                document.report((section, key), message, LOADED_BY_FEDERATEDSCOPE)
        return
    if FILE[0] in own:
        path = own[FILE[0]][FILE[1]]
        if kind is not None and kind.lower() != "file":
            document.report(FILE, f"means nothing with data.type: {kind}", "remove it, or write data.type: file")
        elif not isinstance(path, str) or not path:
            document.report(FILE, "must be the path of a file")
        else:
            absolute = make_absolute(path, folder)
            if absolute is None:
                document.report(FILE, "is not a path")
            own[FILE[0]] = {FILE[1]: absolute}
    if NUMBER[0] in own:
        number = own[NUMBER[0]][NUMBER[1]]
        if type(number) is not int or number < -1:
            document.report(NUMBER, "must be the number of a part of the data", "-1 is a file's only part")
