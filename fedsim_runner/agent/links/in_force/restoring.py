"""Links that somebody else has changed: finding them while links go on being changed here, and putting them back."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from fedsim_runner.contract import events

from ...host import programs
from ..shaping.shaper import Shaper
from .shaped_devices import ShapedDevices

# At least so many devices are looked at together, and at most so many times: each time, the ends of all are read.
_LOOKED_AT_ONCE = 16
_LOOKS = 16


class Restorer:
    """Restores links. Its owner has nobody but itself read links meanwhile.

    A change that is due waits for no look at all links: that has no priority, and takes long beside devices that
    compute. What was read of a link while it was changed says nothing, and is read again with the next look.

    Args:
        devices: those whose links are in force.
        lock: of the links; not held while they are read.
        record: writes an event to the journal.
    """

    def __init__(self, devices: ShapedDevices, lock: threading.RLock, record: Callable[[events.Event], None]) -> None:
        self._devices = devices
        self._lock = lock
        self._record = record
        self._under_way: Counter[str] = Counter()  # changes of each device's link while packets pass
        self._changes: Counter[str] = Counter()  # those that are over
        self._looked_at = time.monotonic()  # when all links in force were last known to be

    def begin_change(self, devices: Iterable[str]) -> None:
        """These devices' links are changed here from now on; called with the lock."""
        self._under_way.update(list(devices))  # a mapping would be taken for counts

    def end_change(self, devices: Iterable[str]) -> None:
        """A change that was begun is over; called with the lock."""
        devices = list(devices)
        self._under_way.subtract(devices)
        self._changes.update(devices)

    def restore(self, shaper: Shaper, running: Mapping[str, int]) -> dict[str, str]:
        """Put links that are in force, but that somebody else has changed, back in force.

        Args:
            shaper: owns the links.
            running: process ids of the running devices.

        Returns:
            By device, what was changed and why it could not be undone.
        """
        failed: dict[str, str] = {}
        now, before = time.monotonic(), self._looked_at
        devices = self._devices.running(running)
        try:
            # Few at a time, so that few are changed here while they are looked at.
            at_once = max(_LOOKED_AT_ONCE, math.ceil(len(devices) / _LOOKS))
            for start in range(0, len(devices), at_once):
                some = dict(list(devices.items())[start : start + at_once])
                if changed := self._look(shaper, some):
                    failed |= self._undo(shaper, changed, some, now - before)
        except (OSError, programs.CommandError):
            return failed  # the run's network is ending, which its owner will say
        self._looked_at = now
        return failed

    def _look(self, shaper: Shaper, devices: Mapping[str, str]) -> dict[str, str]:
        """What somebody else has changed of these devices' links, in these namespaces."""
        with self._lock:
            before = {name: self._changes[name] for name in devices}
        seen = shaper.look_for_changes(devices)
        with self._lock:
            # What has been changed here meanwhile may be what was seen.
            same = {name for name in devices if self._changes[name] == before[name] and not self._under_way[name]}
            shaper.take_note_of({name: trace for name, trace in seen.traces.items() if name in same})
            return {name: change for name, change in seen.changed.items() if name in same}

    def _undo(
        self, shaper: Shaper, changed: Mapping[str, str], devices: Mapping[str, str], unknown_s: float
    ) -> dict[str, str]:
        """Put these links back in force; return the reasons where that failed."""
        failed: dict[str, str] = {}
        with self._lock:
            theirs = {name: devices[name] for name in changed if self._devices.is_where_it_was(name, devices[name])}
            for name, result in (shaper.apply(theirs) if theirs else {}).items():
                if result.failed is None:
                    self._record(events.LinkRestored(name, changed[name], round(unknown_s, 1)))
                elif self._devices.is_where_it_was(name, devices[name]):
                    self._devices.names.discard(name)
                    failed[name] = f"{changed[name]}; {result.failed}"
                    self._record(events.LinkFailed(name, failed[name]))
        return failed
