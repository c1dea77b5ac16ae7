"""How a run's links differ, for the time being, from what its device file says. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from fedsim_runner.contract.link import Links
from fedsim_runner.contract.timeline import TimelineEntry, links_with

from .profile import DeviceLink, Profile


@dataclass(frozen=True)
class Deviation:
    """What is in force beside the device file.

    Attributes:
        links: by device, the links in place of those of the device file.
        offline: devices that nothing reaches, and that reach nothing.
        partitions: sets of devices by a number of each: nothing passes between one and all others.
        varied: by device, what links that vary by themselves are now, before anything else changes them.
        changes: by device, the entries of the timeline that change its link, in the order in which they began: they
            change what a link that varies is at the time.
    """

    links: Mapping[str, Links] = field(default_factory=dict)
    offline: frozenset[str] = frozenset()
    partitions: Mapping[int, frozenset[str]] = field(default_factory=dict)
    varied: Mapping[str, Links] = field(default_factory=dict)
    changes: Mapping[str, tuple[TimelineEntry, ...]] = field(default_factory=dict)

    def of(self, profile: Profile) -> Profile:
        """The links of the device file as they are now."""
        return replace(
            profile,
            devices=[self._now(one) for one in profile.devices],
            peers=[self._now(one) for one in profile.peers],
            offline=self.offline,
            partitions=self.partitions,
        )

    def changed_links(self, before: Deviation) -> set[str] | None:
        """The devices whose links may be others than before; None: something else is different, too."""
        if (self.offline, self.partitions) != (before.offline, before.partitions):
            return None
        pairs: list[tuple[Mapping[str, object], Mapping[str, object]]] = [
            (self.links, before.links),
            (self.varied, before.varied),
            (self.changes, before.changes),
        ]
        return {
            name
            for now, was in pairs
            if now is not was
            for name in now.keys() | was.keys()
            if now.get(name) is not was.get(name)
        }

    def _now(self, one: DeviceLink) -> DeviceLink:
        varied, changes = self.varied.get(one.device), self.changes.get(one.device, ())
        now = self.links.get(one.device) if varied is None else links_with(varied, changes) if changes else varied
        # Not replace(): a trace has it done for a hundred devices 50 times a second.
        return one if now is None else DeviceLink(one.device, one.address, now.up, now.down)
