"""Carrying out what begins and ends during a course, when it is due, and saying what has become of it.

The thread of the timeline does at its time what has to be done then. What takes longer is left to others: the Engine
may be busy, and to look at what the kernel then has takes tenths of a second for a hundred devices on a busy lab host,
for which what is due next would have to wait.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from fedsim_runner.contract.errors import FedsimError
from fedsim_runner.contract.events import Event, EventBegun, EventEnded, EventFailed
from fedsim_runner.contract.link import Links
from fedsim_runner.contract.time_scale import REAL_TIME, TimeScale
from fedsim_runner.contract.timeline import Action, TimelineEntry, describe_change, in_device_time

from ..host.background import Background
from ..links.deviation import Deviation
from ..links.in_force.live_changes import LiveChange
from ..links.run_links import RunLinks
from .devices import Devices
from .found import describe_together
from .in_force import InForce, taken_back_by
from .interruptions import SLOW, Interruptions
from .priority import LOOKS, gain_priority, spare_collections

_WORKERS = 4


@dataclass(frozen=True)
class Moment:
    """The beginning or the end of an entry.

    Attributes:
        ends: whether its duration is over.
        here: its devices of this lab host.
        due_s: when, on the monotonic clock.
        due_unix: the same, in Unix seconds.
        before, after: what is in force until then, and from then on.
    """

    entry: TimelineEntry
    ends: bool
    here: tuple[str, ...]
    due_s: float
    due_unix: float
    before: InForce
    after: InForce


class Acting:
    """Acts on the links and devices of one run on this lab host. One thread prepares what is due, and has it done.

    Args:
        links: the links in force.
        devices: acts on devices' containers.
        interruptions: of participants.
        record: writes an event to the journal.
        tell: lets participants know who is away, and a later agent what has been done.
        joining: returns the devices that have yet to join, whose links are not cut before.
    """

    def __init__(
        self,
        links: RunLinks,
        devices: Devices,
        interruptions: Interruptions,
        record: Callable[[Event], None],
        tell: Callable[[], None],
        joining: Callable[[], set[str]],
    ) -> None:
        self._links = links
        self._devices = devices
        self._interruptions = interruptions
        self._record = record
        self._tell = tell
        self._joining = joining
        self._failed: dict[int, tuple[str, ...]] = {}  # why entries could not begin, by number
        self._planned: Mapping[str, Links] = {}
        self._here: frozenset[str] = frozenset()
        self._time_scale = REAL_TIME
        self._background: Background | None = None
        self._looking: Background | None = None

    def start(self, planned: Mapping[str, Links], here: frozenset[str], time_scale: TimeScale) -> None:
        """Begin.

        Args:
            planned: the links of all devices.
            here: the devices of this lab host.
            time_scale: how device time and wall time are related.
        """
        self._planned, self._here, self._time_scale = planned, here, time_scale
        spare_collections()
        self._background = Background("act on devices", _WORKERS)
        self._looking = Background("look at changes", 1, partial(gain_priority, priority=LOOKS))

    def stop(self, frozen: Collection[str]) -> None:
        """Have what was done been said, and these devices go on."""
        if self._looking is not None:
            self._looking.close(wait=True)
        self._devices.freeze(sorted(frozen), False)  # where that fails, it has ended
        if self._background is not None:
            self._background.close()

    def prepare(self, moment: Moment) -> Callable[[], None]:
        """Prepare what is about to be due; return what is to be called then."""
        entry = moment.entry
        action = taken_back_by(entry) if moment.ends else entry.action
        names = list(moment.here)  # those with which it can be done
        found: list[str] = []
        problems: list[str] = []
        if action in (*SLOW, "freeze", "thaw"):
            self._devices.look_up(names)
        moved = self._move_links(moment, problems)
        slow = action if action in SLOW else None

        def do() -> None:
            frozen = self._freeze(moment, problems)
            if slow is not None:
                names[:] = self._interruptions.begin(slow, entry, moment.ends, names, problems)
            late_s = time.monotonic() - moment.due_s
            seen = moved if moved is not None and self._see(moved, problems) else None
            self._tell()
            if slow is not None and names:
                self._have_the_engine_do(slow, names, found, problems, lambda: end(late_s))
                return
            gone = moment.after.devices_of("offline") - moment.before.devices_of("offline")
            put_off = [name for name in names if name in gone & self._joining()]
            assert self._looking is not None
            self._looking.submit(lambda: look(frozen, seen, put_off, late_s))

        def look(
            frozen: Mapping[bool, list[str]], seen: LiveChange | None, put_off: Collection[str], late_s: float
        ) -> None:
            for state, devices in frozen.items():
                found.extend(describe_together(self._devices.frozen(devices, state)))
            if seen is not None:
                late_s = self._finish_links(seen, put_off, names, found, problems) or late_s
            end(late_s)

        def end(late_s: float) -> None:
            what = describe_change(in_device_time(entry, self._time_scale))
            if moment.ends:
                # What could not begin does not end either, and has been named.
                new = [one for one in problems if one not in self._failed.get(entry.number, ())]
                if problems and not new and not found:
                    return
                problems[:] = new
                if entry.number not in self._failed:
                    names[:] = names or moment.here  # nothing is left to be done if something else has started them
            elif problems:
                self._failed[entry.number] = tuple(problems)
            if problems:
                self._record(
                    EventFailed(entry.number, moment.here, what, round(moment.due_unix, 3), "; ".join(problems))
                )
            elif names:
                event = EventEnded if moment.ends else EventBegun
                shown = "; ".join(sorted(found) if slow is not None else found) or None
                self._record(
                    event(entry.number, tuple(names), what, round(moment.due_unix, 3), round(late_s, 4), shown)
                )

        return do

    def _move_links(self, moment: Moment, problems: list[str]) -> LiveChange | None:
        """Prepare what is to change of links; None: nothing."""
        wanted, was = moment.after.deviation(self._planned), moment.before.deviation(self._planned)
        if wanted == was:
            return None
        if moment.entry.action is None and self._links.backend is None:
            problems.append(f"no link is shaped here: {self._links.unshaped or 'none is in force'}")
            return None

        def update(deviation: Deviation) -> Deviation:
            offline = (deviation.offline - was.offline) | (wanted.offline - self._joining())
            return replace(
                deviation,
                links=wanted.links,
                partitions=wanted.partitions,
                offline=offline,
                changes=wanted.changes,
            )

        try:
            return self._links.begin_change(update, moment.due_s)
        except FedsimError as error:
            problems.append(str(error))
            return None

    def _see(self, moved: LiveChange, problems: list[str]) -> bool:
        """Have links changed that are to be; return whether that was possible."""
        try:
            moved.see()
        except FedsimError as error:
            problems.append(str(error))
            return False
        return True

    def _finish_links(
        self,
        moved: LiveChange,
        put_off: Collection[str],
        names: Collection[str],
        found: list[str],
        problems: list[str],
    ) -> float | None:
        """See what has become of the links; return by how much that was late, if any has changed.

        Args:
            put_off: devices whose links are cut once they have joined.
        """
        try:
            results = moved.finish()
        except FedsimError as error:
            problems.append(str(error))
            return None
        problems += [f"{name}: {results[name].failed}" for name in names if name in results and results[name].failed]
        shown = {name: results[name].found for name in names if name in results}
        ended = [name for name in names if name not in results and not self._devices.runs(name)]
        said = {**dict.fromkeys(ended, "has ended"), **dict.fromkeys(put_off, "its link is cut once it has joined")}
        found += describe_together({**shown, **said})
        return max((result.late_s for result in results.values()), default=None)

    def _freeze(self, moment: Moment, problems: list[str]) -> dict[bool, list[str]]:
        """Freeze devices, or have them go on; return those with which that has begun, by whether they are frozen."""
        was, wanted = moment.before.devices_of("freeze"), moment.after.devices_of("freeze")
        begun: dict[bool, list[str]] = {}
        for state, devices in ((True, wanted - was), (False, was - wanted)):
            here = sorted(devices & self._here)
            failed = self._devices.freeze(here, state)
            problems += failed.values()
            begun[state] = [name for name in here if name not in failed]
        return begun

    def _have_the_engine_do(
        self,
        action: Action,
        names: Sequence[str],
        found: list[str],
        problems: list[str],
        end: Callable[[], None],
    ) -> None:
        """Have it do what takes a while to several devices at once; ``end`` is called after the last."""
        left, lock = set(names), threading.Lock()

        def carry_out(name: str) -> None:
            self._interruptions.carry_out(action, name, found, problems)
            with lock:
                left.discard(name)
                is_last = not left
            if is_last:
                end()

        assert self._background is not None
        for name in names:
            self._background.submit(partial(carry_out, name))
