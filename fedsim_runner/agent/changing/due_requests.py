"""Requests to the kernel that wait for their time. Pure: it is given times.

What a change requests counts from its moment on, unless one that was prepared after it has changed the same before:
whoever prepared that one knew of the first.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..kernel import netlink


@dataclass(frozen=True)
class Part:
    """The requests that change one setting of a device.

    Attributes:
        device, item: the setting.
        where: the device in whose namespace they are made; empty: the run's.
        index: number of the interface there.
        forms: those of the requests.
    """

    device: str
    item: str
    where: str
    index: int
    forms: Sequence[netlink.Form]


def encode(parts: Sequence[Part]) -> dict[str, Any]:
    """Parts as JSON data: each form once, as most are those of many devices."""
    places: dict[netlink.Form, int] = {}
    listed = [
        [one.device, one.item, one.where, one.index, [places.setdefault(form, len(places)) for form in one.forms]]
        for one in parts
    ]
    return {"forms": [form.as_list() for form in places], "parts": listed}


def decode(data: Mapping[str, Any]) -> list[Part]:
    """The reverse of :func:`encode`."""
    forms = [netlink.Form.from_list(form) for form in data["forms"]]
    return [
        Part(device, item, where, index, [forms[place] for place in places])
        for device, item, where, index, places in data["parts"]
    ]


@dataclass(frozen=True)
class DueParts:
    """What is left to be done of a change: the parts that no later one has made before."""

    number: int
    at_s: float
    parts: Sequence[Part]


@dataclass(order=True)
class _Waiting:
    at_s: float
    sent: int
    number: int = field(compare=False)
    parts: Sequence[Part] = field(compare=False)


class DueRequests:
    """Changes that wait, in the order of their times."""

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []
        self._sent = 0
        self._changed: dict[tuple[str, str], int] = {}  # the last change, as they were prepared, of each setting

    @property
    def next_s(self) -> float | None:
        """When the next change is due; None: none waits."""
        return self._waiting[0].at_s if self._waiting else None

    def hold(self, number: int, at_s: float, parts: Sequence[Part]) -> None:
        """Keep a change until its time."""
        self._sent += 1
        heapq.heappush(self._waiting, _Waiting(at_s, self._sent, number, parts))

    def take(self, now_s: float) -> DueParts | None:
        """The next change that is due."""
        if not self._waiting or self._waiting[0].at_s > now_s:
            return None
        return self._count(heapq.heappop(self._waiting))

    def take_number(self, number: int) -> DueParts | None:
        """The change of this number, whether it is due or not; None: it does not wait any longer."""
        found = next((one for one in self._waiting if one.number == number), None)
        if found is None:
            return None
        self._waiting.remove(found)
        heapq.heapify(self._waiting)
        return self._count(found)

    def forget(self, device: str) -> None:
        """Its settings are those of an interface that is gone."""
        self._changed = {key: sent for key, sent in self._changed.items() if key[0] != device}

    def _count(self, one: _Waiting) -> DueParts:
        left = [part for part in one.parts if self._changed.get((part.device, part.item), 0) < one.sent]
        self._changed |= {(part.device, part.item): one.sent for part in left}
        return DueParts(one.number, one.at_s, left)
