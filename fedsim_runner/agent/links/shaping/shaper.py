"""Bringing links into force, from the wire to its shaping: read, compare, change, read back; many devices together."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from ...changing.changer import Changer
from ...changing.requests import RUN
from ..changes import Changed, Changes, Failures, Finish, Settings
from ..network.run_namespace import RunNamespace
from ..network.veth import Veths
from ..profile import DeviceLink, Profile
from ..protocol import LinkBackend
from ..tally import Passed, Tally
from .in_place import ITEMS, change_ends
from .planned import Planned
from .results import Change, Result, Seen, describe, difference, judge_change, same
from .turns import Turns


class _Part(Protocol):
    """Reads some of the settings: a back end, or the veth pairs."""

    def read(self, namespaces: Mapping[str, str]) -> tuple[dict[str, Settings], Failures]: ...


_Step = Callable[[Mapping[str, Settings], Mapping[str, str]], Failures]


class Shaper:
    """Owns the links of one run on one lab host.

    Args:
        backends: all of them; those not chosen undo their remaining settings.
        network: the run's namespace.
        profile: the requested links.
        chosen: name of the back end that shapes them; None: they are connected, and nothing shapes them.
    """

    def __init__(
        self, backends: Sequence[LinkBackend], network: RunNamespace, profile: Profile, chosen: str | None
    ) -> None:
        self._backends = backends
        self._network = network
        for backend in backends:
            backend.use_network(network)
        self._veths = Veths((kind for backend in backends for kind in backend.qdiscs), network)
        self._parts: list[_Part] = [*backends, self._veths]
        # In this order no packet passes unshaped: an interface is connected last, and a back end listens before that.
        self._steps: list[tuple[_Part, _Step]] = [
            (self._veths, self._veths.plug),
            *((backend, backend.apply) for backend in backends),
            (self._veths, self._veths.shape),
            (self._veths, self._veths.connect),
        ]
        # What each device's link was last brought to; a link for which something else is requested is still to follow.
        self._applied: dict[str, Settings] = {}
        self._turns = Turns()
        self._changer = Changer()
        self._numbers = itertools.count(1)
        self._last_changes: dict[tuple[str, str], int] = {}  # the number of the last one of each setting
        self._traces: dict[str, object] = {}  # of links that were found to be as applied
        self._planned = Planned(backends, network, self._veths, profile, chosen)

    @property
    def requested(self) -> tuple[Profile, str | None]:
        """The profile, and the chosen back end."""
        return self._planned.requested

    def set_profile(self, profile: Profile, chosen: str | None) -> None:
        """Set the links that the next ``apply`` brings into force."""
        self._planned.set_profile(profile, chosen)

    def apply(self, namespaces: Mapping[str, str], *, check: bool = False) -> dict[str, Result]:
        """Shape the links of the named devices as requested.

        Args:
            namespaces: path of each device's network namespace.
            check: compare only.
        """
        here = {name: path for name, path in namespaces.items() if name in self._planned.settings}
        results = {name: Result() for name in here}
        owners: dict[str, _Part] = {}
        changes = self._compare(here, results, owners)
        for name, change in changes.items():
            results[name].changed = bool(change)
            results[name].diff = [difference(item, before, after) for item, (before, after) in change.items()]
        touched = {name: change for name, change in changes.items() if change}
        if check:
            return results
        for part, step in self._steps if touched else ():
            own = {
                name: {item: after for item, (_, after) in change.items() if owners[item] is part}
                for name, change in touched.items()
                if results[name].failed is None
            }
            own = {name: change for name, change in own.items() if change}
            for name, reason in step(own, here).items() if own else ():
                results[name].failed = reason
        if touched:
            self._read_back({name: here[name] for name in touched if results[name].failed is None}, results)
        self._applied |= {
            name: self._planned.settings[name] for name, result in results.items() if result.failed is None
        }
        for name in touched:
            self._changer.forget(name)  # it may have another interface now
        return results

    def prepare_for_changes(self, namespaces: Mapping[str, str]) -> None:
        """Have done what takes time before links in these namespaces can be changed, if they may be."""
        if self._planned.changes_ends and namespaces and self._network.path is not None:
            # What does not succeed here is tried, and said, when a link is to change.
            self._changer.follow({RUN: self._network.path, **namespaces})

    def change(self, profile: Profile, namespaces: Mapping[str, str]) -> dict[str, Result]:
        """Bring links that are in force to another profile at once; arguments and errors as of the next method."""
        return self.begin_change(profile, namespaces).complete()

    def begin_change(
        self,
        profile: Profile,
        namespaces: Mapping[str, str],
        is_there: Callable[[str, str], bool] = lambda *_: True,
        due_s: float = 0.0,
        reads_back: bool = True,
        devices: Collection[str] | None = None,
    ) -> Change:
        """Bring links that are in force to another profile while packets pass: in place, in the calling thread.

        Links that are not in force have to be brought to it by :meth:`apply`. Whoever is asked next takes the links
        for those of the profile.

        Args:
            profile: with the same devices.
            namespaces: path of each device's network namespace, of all that have a link in force.
            is_there: whether a device is still in this namespace; asked of those whose links change.
            due_s: when, on the monotonic clock; in the past: at once.
            reads_back: whether to look at what the kernel then has, which takes longer than the change.
            devices: those whose links alone are others than those of the last profile; None: anything may be.

        Raises:
            OSError: the run's namespace is gone.
        """
        concerned: Collection[str] = namespaces.keys()
        if devices is None:
            self._planned.change(profile)
        else:
            concerned = [name for name in self._planned.change_links(profile, devices) if name in namespaces]
        changes = {
            name: {
                item: (before, value)
                for item, value in self._planned.settings[name].items()
                if value is not (before := self._applied[name].get(item)) and value != before
            }
            for name in concerned
            if name in self._applied
        }
        changes = {name: change for name, change in changes.items() if change and is_there(name, namespaces[name])}
        begun: list[Finish] = []
        if own := _only(changes, ITEMS, False):
            turn = self._turns.prepare(own)
            begun += [one.change(own, namespaces, due_s, turn) for one in self._planned.chosen]
        if ends := _only(changes, ITEMS, True):
            turn = self._turns.prepare(ends)
            begun.append(
                change_ends(ends, self._veths.wires, namespaces, self._network, due_s, turn, self._changer, reads_back)
            )
        wanted = {name: self._planned.settings[name] for name in changes}
        self._applied |= wanted
        number = next(self._numbers)
        self._last_changes |= {(name, item): number for name, change in changes.items() for item in change}
        return Change(
            changes,
            lambda: [finish() for finish in begun],
            lambda seen: self._finish_change(number, changes, wanted, seen),
        )

    def expect(self, profile: Profile, devices: Collection[str]) -> None:
        """Take links for those of a profile, as the next change will find them: what was prepared for later is not yet.

        Args:
            profile: with the same devices.
            devices: those whose links alone are others than those of the last profile.
        """
        for name in self._planned.change_links(profile, devices):
            if name in self._applied:
                self._applied[name] = self._planned.settings[name]

    def _finish_change(
        self, number: int, changes: Mapping[str, Changes], wanted: Mapping[str, Settings], seen: Sequence[Changed]
    ) -> dict[str, Result]:
        results = judge_change(changes, seen, lambda name, item: self._last_changes[name, item] != number)
        for name, result in results.items():
            if result.failed is not None and self._applied.get(name) is wanted[name]:
                self._applied.pop(name)
        return results

    def with_guests(self, guests: Sequence[DeviceLink], sites: Mapping[str, str]) -> Shaper:
        """Return what connects more devices to the same network, for a while, and changes nothing for the others.

        ``sites``: those of guests that are at one.
        """
        profile, chosen = self.requested
        more = replace(profile, devices=[*profile.devices, *guests], guest_sites=sites)
        return Shaper(self._backends, self._network, more, chosen)

    def look_for_changes(self, namespaces: Mapping[str, str]) -> Seen:
        """See what is no longer as ``apply`` has left it; devices that cannot be read are left out.

        It changes nothing, and what it has seen means something only if :meth:`change` was not called meanwhile.

        Raises:
            OSError, CommandError: the run's namespace is gone.
        """
        planned, applied = self._planned.settings, dict(self._applied)
        here = {
            name: path for name, path in namespaces.items() if name in planned and planned[name] == applied.get(name)
        }
        traces = self._veths.traces(here, lambda: [backend.trace() for backend in self._backends])
        suspect = {name: here[name] for name, trace in traces.items() if trace != self._traces.get(name)}
        if not suspect:
            return Seen({}, {})
        changes = self._compare(suspect, {name: Result() for name in suspect}, {})
        return Seen(
            {name: describe(change) for name, change in changes.items() if change},
            {name: traces[name] for name, change in changes.items() if not change},
        )

    def take_note_of(self, traces: Mapping[str, object]) -> None:
        """Links that look so are as they were left, and need not be read again."""
        self._traces |= traces

    def find_changes(self, namespaces: Mapping[str, str]) -> Mapping[str, str]:
        """What is no longer as ``apply`` has left it, by device. Arguments and errors as those of the look."""
        seen = self.look_for_changes(namespaces)
        self.take_note_of(seen.traces)
        return seen.changed

    def forget(self, device: str) -> None:
        """Release the namespace of a device whose container has ended. Packets that still arrive there are dropped."""
        self._applied.pop(device, None)
        self._traces.pop(device, None)
        self._changer.forget(device)
        for backend in self._backends:
            backend.forget(device)

    def failure(self) -> str | None:
        """Why traffic no longer passes; None while it does."""
        return next((reason for backend in self._backends if (reason := backend.failure()) is not None), None)

    def count(self, namespaces: Mapping[str, str], afresh: bool) -> dict[tuple[str, str], Tally]:
        """What has passed each shaped direction, by device and ``up`` or ``down``.

        Args:
            namespaces: path of each device's network namespace.
            afresh: count from now on.

        Raises:
            OSError: nothing passes any longer.
        """
        return {
            key: tally for backend in self._planned.chosen for key, tally in backend.count(namespaces, afresh).items()
        }

    def look(self, namespaces: Mapping[str, str]) -> dict[tuple[str, str], Passed]:
        """The counters and the queue of each shaped direction; those that have not changed may be left out.

        Args:
            namespaces: path of each device's network namespace.

        Raises:
            OSError: nothing passes any longer.
        """
        chosen = self._planned.chosen
        return {key: passed for backend in chosen for key, passed in backend.look(namespaces).items()}

    def counters(self) -> dict[str, Any]:
        """Counters of the parts that run outside the kernel."""
        return {key: value for backend in self._backends for key, value in backend.counters().items()}

    def stop(self) -> None:
        """Stop all back ends: the agent ends."""
        self._changer.stop()
        for backend in self._backends:
            backend.stop()

    def _compare(
        self, namespaces: Mapping[str, str], results: Mapping[str, Result], owners: dict[str, _Part]
    ) -> dict[str, dict[str, tuple[object, object]]]:
        """Each readable device's differences, as item -> (active, wanted); records the owner of each item."""
        active: dict[str, dict[str, object]] = {name: {} for name in namespaces}
        for part in self._parts:
            found, failed = part.read({name: path for name, path in namespaces.items() if results[name].failed is None})
            for name, reason in failed.items():
                results[name].failed = reason
            for name, settings in found.items():
                active[name] |= settings
                owners |= dict.fromkeys(settings, part)
        return {
            name: {
                item: (active[name].get(item), value)
                for item, value in self._planned.settings[name].items()
                if not same(value, active[name].get(item))
            }
            for name in namespaces
            if results[name].failed is None
        }

    def _read_back(self, namespaces: Mapping[str, str], results: Mapping[str, Result]) -> None:
        for name, change in self._compare(namespaces, results, {}).items():
            if change:
                results[name].failed = f"the kernel did not keep what was set: {describe(change)}"


def _only(changes: Mapping[str, Changes], items: Collection[str], inside: bool) -> dict[str, Changes]:
    """The changes of these items, or of all others, of devices that have any."""
    chosen = {
        name: {item: pair for item, pair in change.items() if (item in items) == inside}
        for name, change in changes.items()
    }
    return {name: change for name, change in chosen.items() if change}
