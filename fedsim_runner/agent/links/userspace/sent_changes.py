"""A change of links as it is sent to the packet process, and what was found of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fedsim_runner.contract.link import Link

from ..changes import Changes, Settings
from .arrivals import Arrivals, Group, Senders, Uplink, link_data
from .process_commands import settings_of

#: The packet process changes so many directions before it looks after packets again, in less than a millisecond.
CHANGES_AT_ONCE = 16


@dataclass(frozen=True)
class Sent:
    """What changes: uplinks by address, downlinks by device, and all groups if they do (None: not)."""

    ups: Mapping[str, Any]
    devices: Mapping[str, Any]
    groups: Mapping[str, str] | None

    @classmethod
    def of(cls, changes: Mapping[str, Changes], here: Mapping[str, str]) -> Sent:
        """What changes with these settings of devices; ``here``: their addresses."""
        ups: dict[str, Any] = {}
        downs: dict[str, Any] = {}
        groups: Mapping[str, str] | None = None
        for name, change in changes.items():
            for before, after in change.values():
                if isinstance(after, Uplink):
                    ups[here[name]] = link_data(after.link)
                elif isinstance(after, Arrivals):
                    downs[name] = settings_of(after)
                elif isinstance(after, Group):
                    groups = after.senders.groups
                elif isinstance(before, Senders) and isinstance(after, Senders):
                    ups |= after.changed_from(before)
                    groups = after.of_all.groups
        return cls(ups, downs, groups)

    def commands(self, head: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The parts of the change, each so short that the packets of others go on being in time."""
        if self.groups is not None:
            yield {**head, "ups": {}, "devices": {}, "groups": self.groups}
        every = [("ups", *item) for item in self.ups.items()] + [("devices", *item) for item in self.devices.items()]
        for start in range(0, len(every), CHANGES_AT_ONCE):
            command: dict[str, Any] = {**head, "ups": {}, "devices": {}}
            for kind, name, values in every[start : start + CHANGES_AT_ONCE]:
                command[kind][name] = values
            yield command

    def found(self, name: str, address: str, change: Changes, answer: Mapping[str, Any]) -> Settings:
        """What the packet process has said that it has now of what was to change of a device."""
        found: dict[str, object] = {}
        for item, (_, after) in change.items():
            kind, key = ("ups", address) if isinstance(after, Uplink) else ("devices", name)
            sent = self.ups.get(key) if kind == "ups" else self.devices.get(key)
            if isinstance(after, Group):
                groups = after.senders.groups if answer["groups"] is None else answer["groups"]
                found[item] = Group(groups.get(address, ""), after.senders)
            elif key in answer["failed"]:
                continue
            elif answer[kind].get(key, sent) == sent:
                found[item] = after  # where it says nothing, a later change has come before this one
            elif isinstance(after, Uplink):
                found[item] = Uplink(Link.from_dict(answer["ups"][address]), after.senders)
            elif isinstance(after, Arrivals):
                found[item] = Arrivals.parse(answer["devices"][name], after.senders, after.crossings)
            else:
                found[item] = after
        return found
