"""What a device and its participant go through."""

from __future__ import annotations

from dataclasses import dataclass

from .. import lenient
from ..course_state import LASTING, CourseState
from ..event import Event, read_as


@dataclass(frozen=True)
class DeviceStarted(Event):
    """A device's container has started."""

    name = "device_started"
    device: str | None = read_as(lenient.name)

    def apply_to(self, course: CourseState) -> None:
        course.advance(self.device, "started")


@dataclass(frozen=True)
class DeviceLoading(Event):
    """A participant has been admitted to load its engine, without its CPU limit."""

    name = "device_loading"
    device: str | None = read_as(lenient.name)

    def apply_to(self, course: CourseState) -> None:
        course.advance(self.device, "loading")
        if self.device is not None:
            course.devices[self.device].loading_at = self.t


@dataclass(frozen=True)
class DeviceReady(Event):
    """A participant has loaded its engine and is ready for connections."""

    name = "device_ready"
    device: str | None = read_as(lenient.name)

    def apply_to(self, course: CourseState) -> None:
        course.advance(self.device, "ready")
        if self.device is not None and course.devices[self.device].ready_at is None:
            course.devices[self.device].ready_at = self.t  # one that an event starts anew loads within its limit


@dataclass(frozen=True)
class DeviceJoined(Event):
    """The server has accepted a client and given it an id."""

    name = "device_joined"
    device: str | None = read_as(lenient.name)
    client_id: int | None = read_as(lenient.whole)

    def apply_to(self, course: CourseState) -> None:
        course.advance(self.device, "joined")
        if self.device is not None:
            course.devices[self.device].client_id = self.client_id


@dataclass(frozen=True)
class DeviceFinished(Event):
    """A participant has reached the end of the course."""

    name = "device_finished"
    device: str | None = read_as(lenient.name)

    def apply_to(self, course: CourseState) -> None:
        course.advance(self.device, "finished")


@dataclass(frozen=True)
class DeviceExited(Event):
    """A participant's process has ended."""

    name = "device_exited"
    device: str | None = read_as(lenient.name)
    exit_code: int | None = read_as(lenient.whole)
    oom_killed: bool | None = read_as(lenient.flag)

    def apply_to(self, course: CourseState) -> None:
        if self.device is None:
            return
        device = course.devices[self.device]
        device.exit_code = self.exit_code
        device.oom_killed = self.oom_killed or device.oom_killed
        if device.state not in LASTING:
            device.state = "exited"


@dataclass(frozen=True)
class ClientLost(Event):
    """A client was given up, and the course continues without it; ``last_lines``: the end of its log."""

    name = "client_lost"
    device: str | None = read_as(lenient.name)
    reason: str | None = read_as(lenient.text)
    oom_killed: bool | None = read_as(lenient.flag)
    last_lines: tuple[str, ...] = read_as(lenient.lines, ())

    def apply_to(self, course: CourseState) -> None:
        if self.device is None:
            return
        device = course.devices[self.device]
        device.state, device.lost, device.error = "lost", True, self.reason
        if self.oom_killed is not None:
            device.oom_killed = self.oom_killed
        course.lost.setdefault(self.device, self)


@dataclass(frozen=True)
class DeviceMissedEnd(Event):
    """A client was offline when the course ended, and has not heard of it."""

    name = "device_missed_end"
    device: str | None = read_as(lenient.name)

    def apply_to(self, course: CourseState) -> None:
        course.advance(self.device, "offline")


@dataclass(frozen=True)
class DeviceWarned(Event):
    """A participant's engine has logged a warning that no other participant had logged before."""

    name = "device_warned"
    device: str | None = read_as(lenient.name)
    text: str | None = read_as(lenient.text)
