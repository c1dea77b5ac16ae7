"""Which entries of a timeline are in force, and what they make of links and devices together. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from fedsim_runner.contract.link import Links
from fedsim_runner.contract.timeline import UNDONE_BY, Action, TimelineEntry, covers, links_with

from ..links.deviation import Deviation

#: What an action takes back of earlier ones, for its devices.
_TAKES_BACK: Mapping[str, str] = {"heal": "partition", "online": "offline", "thaw": "freeze"}


@dataclass(frozen=True)
class Holding:
    """An entry in force, and the devices for which no other entry has taken it back."""

    entry: TimelineEntry
    devices: frozenset[str]


@dataclass(frozen=True)
class InForce:
    """Entries in force, in the order in which they began."""

    held: tuple[Holding, ...] = ()

    def begin(self, entry: TimelineEntry) -> InForce:
        """With an entry that begins; one that only does something once is not in force after that."""
        undone = _TAKES_BACK.get(entry.action or "")
        held = self._without(lambda one: one.action == undone if undone else covers(entry, one), entry.devices)
        lasts = entry.action is None or entry.action in _TAKES_BACK.values()
        return InForce((*held, Holding(entry, frozenset(entry.devices))) if lasts else held)

    def end(self, number: int) -> InForce:
        """Without the entry of this number, whose duration is over."""
        return InForce(tuple(one for one in self.held if one.entry.number != number))

    def _without(self, is_over: Callable[[TimelineEntry], bool], devices: Iterable[str]) -> tuple[Holding, ...]:
        over = frozenset(devices)
        left = (Holding(one.entry, one.devices - over) if is_over(one.entry) else one for one in self.held)
        return tuple(one for one in left if one.devices)

    def devices_of(self, action: Action) -> frozenset[str]:
        """All devices for which entries with this action are in force."""
        return frozenset().union(*(one.devices for one in self.held if one.entry.action == action))

    def deviation(self, planned: Mapping[str, Links]) -> Deviation:
        """What is in force of links beside the planned ones."""
        changes = [one for one in self.held if one.entry.action is None]
        changed = {name for one in changes for name in one.devices if name in planned}
        entries = {name: tuple(one.entry for one in changes if name in one.devices) for name in sorted(changed)}
        return Deviation(
            links={name: links_with(planned[name], some) for name, some in entries.items()},
            offline=self.devices_of("offline"),
            partitions={one.entry.number: one.devices for one in self.held if one.entry.action == "partition"},
            changes=entries,
        )

    def as_data(self) -> list[tuple[int, list[str]]]:
        """The numbers of the entries, and their devices, as JSON data."""
        return [(one.entry.number, sorted(one.devices)) for one in self.held]

    @classmethod
    def from_data(cls, data: Iterable[tuple[int, list[str]]], timeline: Iterable[TimelineEntry]) -> InForce:
        """The reverse of :meth:`as_data`; an entry that the timeline does not have is left out."""
        entries = {entry.number: entry for entry in timeline}
        return cls(tuple(Holding(entries[number], frozenset(names)) for number, names in data if number in entries))


def taken_back_by(entry: TimelineEntry) -> Action | None:
    """The action that takes an entry back when its duration is over; None: it is only no longer in force."""
    return None if entry.action is None else UNDONE_BY.get(entry.action)
