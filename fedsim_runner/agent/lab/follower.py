"""The agent on a lab host without the server: it passes on what its participants report, and follows the judgement."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable

from fedsim_runner.contract.device_file import Lab
from fedsim_runner.contract.events import AwaitingLabHosts, ClockMeasured, Event

from ..course.limits import Limits
from ..course.supervision import Supervisor
from ..run_settings import RunSettings
from .clock import ClockOffset
from .clock_client import ClockClient
from .followed_course import FollowedCourse
from .uplink import Uplink


class Follower:
    """Follows one course. Its owner holds a lock.

    Args:
        lab: the lab hosts of the run.
        uplink: the channel.
        make_clock: returns what asks for the time of the server's lab host and passes each offset on.
        record: writes an event to the journal.
    """

    def __init__(
        self,
        lab: Lab,
        uplink: Uplink,
        make_clock: Callable[[Callable[[ClockOffset], None]], ClockClient],
        record: Callable[[Event], None],
    ) -> None:
        self._lab = lab
        self._uplink = uplink
        self._offsets: queue.SimpleQueue[ClockOffset] = queue.SimpleQueue()
        self._clock = make_clock(self._offsets.put)
        self._record = record
        self._course: FollowedCourse | None = None
        self._silence_timeout_s = 0.0
        self._loaded_at: float | None = None
        self._has_said_so = False

    def start(self) -> None:
        self._uplink.start()
        self._clock.start()

    def close(self) -> None:
        self._clock.close()
        self._uplink.close()

    def supervise(self, settings: RunSettings, limits: Limits) -> Supervisor:
        self._silence_timeout_s = settings.lab_silence_s
        self._uplink.begin()
        self._course = FollowedCourse(
            settings, limits, self._uplink, lambda: self._offset_s, self._lab.server, time.monotonic()
        )
        return self._course

    def why_not_resumed(self) -> str | None:
        return None  # the agent that judges says so

    def tick(self) -> None:
        while not self._offsets.empty():
            found = self._offsets.get()
            self._record(ClockMeasured(self._lab.server, round(found.offset_s, 6), round(found.bound_s, 6)))
        if self._course is not None:
            self._course.flush()
        frozen, working = (set(), set()) if self._course is None else self._course.signs()
        self._uplink.give_sign(what="sign", frozen=sorted(frozen), working=sorted(working))

    def gate_time(self) -> float | None:
        assert self._course is not None
        now = time.monotonic()
        if self._loaded_at is None:
            self._loaded_at = now
            self._record(AwaitingLabHosts())
        if self._clock.latest is None:
            if now - self._loaded_at >= self._silence_timeout_s:
                self._course.fail(
                    None,
                    f"its clock cannot be compared with that of {self._lab.server}: no answer over UDP, which passes "
                    "between lab hosts at the same port as TCP",
                )
            return None
        if not self._has_said_so:
            self._has_said_so = True
            self._course.flush()
            self._uplink.send(what="loaded")
        open_at = (self._uplink.state or {}).get("open_at")
        return None if open_at is None else float(open_at) - self._offset_s

    def opened(self, at: float) -> None:
        bound_s = self._clock.latest.bound_s if self._clock.latest is not None else 0.0
        self._uplink.send(what="opened", at=at + self._offset_s, bound=bound_s)

    @property
    def _offset_s(self) -> float:
        return self._clock.latest.offset_s if self._clock.latest is not None else 0.0
