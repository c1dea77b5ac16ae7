"""Following a run's timeline: each entry begins at its time, whatever else the agent does.

A thread of its own with real-time priority waits for what is due. It prepares a change of links a little ahead of its
time: at a moment that is known before, links change whatever keeps the agent from running then. It takes the lock of
the links, which nobody holds for long during a course, and never that of the agent; it does not wait for the Docker
Engine, which may be busy, nor looks at what the kernel then has: other threads do (acting.py).
Entries that wait for a round or a state are due as soon as the agent has read that it has come.

An entry that fails is named in the journal, and the course goes on.

A device that is offline before it has joined is so for all participants at once, so that the server does not ask it;
its link is cut once it has joined. So it has its id, and a course begins with all its clients.
"""

from __future__ import annotations

import heapq
import math
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from fedsim_runner.contract.atomic import CannotWriteError
from fedsim_runner.contract.events import Event
from fedsim_runner.contract.link import Links
from fedsim_runner.contract.time_scale import REAL_TIME
from fedsim_runner.contract.timeline import TimelineEntry

from ..links.run_links import RunLinks
from ..run_settings import RunSettings
from .acting import Acting, Moment
from .devices import Devices
from .interruptions import Interruptions
from .memory import Memory
from .priority import gain_priority
from .triggers import Course, has_come, read_for

# Once a client has its id, what still belongs to joining is a message each way; it takes this time besides the links'.
JOINING_S = 1.0
# A change of links is prepared so long before it is due: this thread waits for others of the agent, and for processors.
AHEAD_S: Final = 0.05


@dataclass(order=True)
class _Step:
    """The beginning or the end of an entry; ``due_s`` on the monotonic clock."""

    due_s: float
    order: int
    entry: TimelineEntry = field(compare=False)
    ends: bool = field(compare=False)


class Timeline:
    """Follows the timeline of one run on this lab host.

    Args:
        links: the links in force.
        devices: acts on devices' containers.
        path: where a later agent finds what this one has done.
        record: writes an event to the journal.
        announce: tells participants which devices are offline.
        lost: returns the clients that were given up.
    """

    def __init__(
        self,
        links: RunLinks,
        devices: Devices,
        path: Path,
        record: Callable[[Event], None],
        announce: Callable[[Iterable[str]], None],
        lost: Callable[[], Collection[str]],
    ) -> None:
        self._links = links
        self._path = path
        self._announce = announce
        self._interruptions = Interruptions(devices, lost)
        self._acting = Acting(links, devices, self._interruptions, record, self._tell, lambda: self._joining)
        self._changed = threading.Condition()
        self._due: list[_Step] = []
        self._order = 0
        self._waiting: dict[int, TimelineEntry] = {}
        self._entries: tuple[TimelineEntry, ...] = ()
        self._here: frozenset[str] = frozenset()
        self._planned: Mapping[str, Links] = {}
        self._server = ""
        self._memory = Memory()
        self._written_offline: frozenset[str] = frozenset()
        self._joining: set[str] = set()  # devices of this lab host that have yet to join
        self._joined_at: dict[str, float] = {}  # of those that have just done it, on the monotonic clock
        self._time_scale = REAL_TIME
        self._joining_s: Mapping[str, float] = {}
        self._unix_s = 0.0  # the difference between the two clocks
        self._thread: threading.Thread | None = None
        self._stopped = False

    # -- life cycle ---------------------------------------------------------------------------------------------------

    def resume(self, settings: RunSettings) -> None:
        """Take over from an earlier agent, before links are brought into force again."""
        self._use(settings)
        self._memory = Memory.read(self._path, self._entries)
        self._interruptions.resume(self._memory.down)
        wanted = self._memory.in_force.deviation(self._planned)
        self._links.change(lambda _: wanted)

    def open(self, open_at: float, settings: RunSettings, course: Course) -> None:
        """Begin: the gate opens or opened at this time (Unix seconds). Only the first call counts."""
        if self._thread is not None or self._stopped or not settings.timeline:
            return
        self._use(settings)
        self._unix_s = time.time() - time.monotonic()
        memory = self._memory
        self._joining = {name for name in self._here if not course.has_joined(name)}
        for entry in self._entries:
            if entry.number not in memory.due:
                if entry.at_s is not None:
                    self._push(open_at + entry.at_s, entry, False)
                else:
                    self._waiting[entry.number] = entry
            elif entry.duration_s is not None and entry.number not in memory.ended:
                self._push(memory.due[entry.number] + entry.duration_s, entry, True)
        self._acting.start(self._planned, self._here, self._time_scale)
        self._thread = threading.Thread(target=self._run, name="timeline", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Begin nothing more, and have frozen devices go on: the course is over."""
        with self._changed:
            if self._stopped:
                return
            self._stopped = True
            self._waiting.clear()
            self._changed.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        self._acting.stop(self.frozen & self._here)

    def _use(self, settings: RunSettings) -> None:
        self._entries = settings.timeline
        self._here = frozenset(settings.roles)
        self._planned = {one.device: Links(one.up, one.down) for one in settings.links.all_devices}
        self._server = settings.links.server
        self._time_scale = settings.time_scale
        joining_s, answers_s = settings.time_scale.to_wall(JOINING_S), settings.answers_s
        self._joining_s = {name: joining_s + 2 * answers_s.get(name, 0) for name in self._here}

    # -- what others ask ----------------------------------------------------------------------------------------------

    @property
    def awaited(self) -> set[str]:
        """The participants of this lab host whose reports an entry waits for."""
        return read_for(tuple(self._waiting.values()), self._server) & self._here

    @property
    def frozen(self) -> frozenset[str]:
        """The devices that are frozen."""
        return self._memory.in_force.devices_of("freeze")

    @property
    def brings_back(self) -> bool:
        """Whether devices were killed, or started anew, that are to join again."""
        return bool(self._interruptions.down)

    @property
    def away(self) -> frozenset[str]:
        """The devices that nobody is to wait for: those that are offline or down."""
        by_entries = self._memory.in_force.devices_of("offline")  # the links of some may not be cut yet
        return self._links.deviation.offline | by_entries | frozenset(self._interruptions.down)

    @property
    def changed(self) -> set[tuple[str, str]]:
        """The directions that entries have changed so far, by device and ``up`` or ``down``."""
        begun = [entry for entry in self._entries if entry.number in self._memory.due]
        ways = [(entry, way) for entry in begun for way in ("up", "down") if getattr(entry, way) is not None]
        return {(name, way) for entry, way in ways for name in entry.devices}

    def look(self, course: Course) -> dict[str, str]:
        """See which moments have come that entries wait for, and who has joined again.

        Returns:
            Devices that could not be started again, each once, with the reason.
        """
        for number, entry in list(self._waiting.items()):
            if has_come(entry, course):
                with self._changed:
                    if self._waiting.pop(number, None) is not None:
                        self._push(time.time(), entry, False)
        self._cut_those_that_have_joined(course)
        back = self._interruptions.joined_again(course)
        if back:
            with self._changed:
                self._interruptions.take_back(back)
            self._tell()
        return self._interruptions.failed()

    def _cut_those_that_have_joined(self, course: Course) -> None:
        now = time.monotonic()
        for name in self._joining:
            if name not in self._joined_at and course.has_joined(name):
                self._joined_at[name] = now
        over = {name for name in self._joining if now - self._joined_at.get(name, now) >= self._joining_s[name]}
        if not over:
            return
        with self._changed:
            self._joining -= over
            late = over & self._memory.in_force.devices_of("offline")
        if late:
            self._links.change(lambda deviation: replace(deviation, offline=deviation.offline | late))

    def takes_end(self, device: str) -> bool:
        """Whether this end of a device's container, each is asked for once, is one that an entry has made."""
        return self._interruptions.takes_end(device)

    def on_started(self, device: str) -> bool:
        """Take note that a device's container has started; return whether an entry has had it started."""
        return self._interruptions.on_started(device)

    # -- the thread ---------------------------------------------------------------------------------------------------

    def _push(self, due_unix: float, entry: TimelineEntry, ends: bool) -> None:
        with self._changed:
            self._order += 1
            heapq.heappush(self._due, _Step(due_unix - self._unix_s, self._order, entry, ends))
            self._changed.notify()

    def _run(self) -> None:
        gain_priority()
        prepared: list[tuple[float, int, Callable[[], None]]] = []  # when each is due, its number, what ends it
        while True:
            with self._changed:
                while not self._stopped:
                    prepare_s = self._due[0].due_s - AHEAD_S if self._due else math.inf
                    next_s = min(prepare_s, prepared[0][0]) if prepared else prepare_s
                    if next_s <= time.monotonic():
                        break
                    self._changed.wait(None if next_s == math.inf else next_s - time.monotonic())
                if self._stopped:
                    return
                step = None if prepared and prepared[0][0] <= time.monotonic() else heapq.heappop(self._due)
            if step is None:
                heapq.heappop(prepared)[2]()
            else:
                heapq.heappush(prepared, (step.due_s, step.order, self._begin(step)))

    def _begin(self, step: _Step) -> Callable[[], None]:
        """Prepare a step that is about to be due; return what is to be called then."""
        entry, due = step.entry, step.due_s + self._unix_s
        before = self._memory.in_force
        after = before.end(entry.number) if step.ends else before.begin(entry)
        with self._changed:
            self._memory.in_force = after
            if step.ends:
                self._memory.ended.add(entry.number)
            else:
                self._memory.due[entry.number] = due
        if entry.duration_s is not None and not step.ends:
            self._push(due + entry.duration_s, entry, True)
        here = tuple(name for name in entry.devices if name in self._here)
        return self._acting.prepare(Moment(entry, step.ends, here, step.due_s, due, before, after))

    def _tell(self) -> None:
        """Let participants know who is away, and a later agent what has been done."""
        try:
            if self.away != self._written_offline:
                self._written_offline = self.away
                self._announce(self._written_offline)
            self._memory.down = self._interruptions.down
            self._memory.write(self._path)
        except CannotWriteError:
            return  # the agent's other files are on the same disk, and say so
