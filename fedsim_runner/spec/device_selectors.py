"""Which devices an experiment file means where it names some of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..catalog.name_rules import as_device_name
from .device_list import device_names
from .experiment import Device
from .schema import DeviceEntry

ALL = "all"


class DeviceSelectors:
    """The devices by what may stand for them: their own name, an entry's with ``count``, a type, a region, ``all``.

    A device's name comes first: a device without one of its own has its type's. ``all`` are all clients.

    Args:
        devices: in the order of the file.
        entries: what they were made of. Those of which nothing was made are wrong, and stand for no device, but what is
            written for them is known.
    """

    def __init__(self, devices: Sequence[Device], entries: Sequence[DeviceEntry | None]) -> None:
        self._order = {device.name: index for index, device in enumerate(devices)}
        found: dict[str, list[str]] = {ALL: [device.name for device in devices if device.role == "client"]}
        for device in devices:
            found.setdefault(device.type.name, []).append(device.name)
        for device in devices:
            entry = entries[device.entry]
            stem = None if entry is None else entry.name or as_device_name(entry.type)
            if stem is not None and entry is not None and entry.count > 1 and stem not in found:
                found[stem] = [one.name for one in devices if one.entry == device.entry]
        for region in {device.region for device in devices if device.region is not None} - found.keys():
            found[region] = [device.name for device in devices if device.region == region]
        self._found: Mapping[str, list[str]] = found | {device.name: [device.name] for device in devices}
        made = {device.entry for device in devices}
        wrong = [entry for number, entry in enumerate(entries) if entry is not None and number not in made]
        self._wrong = {
            name
            for entry in wrong
            for name in (entry.name or as_device_name(entry.type), entry.type, entry.region, *device_names(entry))
            if name is not None
        }

    @property
    def names(self) -> list[str]:
        """Everything that may be written."""
        return [*self._found, *sorted(self._wrong - self._found.keys())]

    def known(self, selector: str) -> bool:
        """Whether it stands for any device, or for one that is wrong."""
        return bool(self._found.get(selector)) or selector in self._wrong

    def select(self, selectors: Iterable[str]) -> tuple[str, ...]:
        """The names of the devices that any of these stands for, each once, in the order of the file."""
        names = {name for selector in selectors for name in self._found.get(selector, ())}
        return tuple(sorted(names, key=self._order.__getitem__))
