"""The state of a run on one lab host at one moment: what ``snapshot.json`` and ``ctl status`` have."""

from __future__ import annotations

import time
from typing import Any

from .containers import Containers
from .course import snapshot
from .course.watch import Watch
from .current import Current
from .health import SETTLE_S
from .links.run_links import RunLinks
from .measuring.course_counters import CourseCounters
from .run_course import RunCourse


class RunState:
    """Puts the state of one run together. Not thread-safe: its owner holds a lock."""

    def __init__(
        self,
        current: Current,
        watch: Watch,
        course: RunCourse,
        containers: Containers,
        counters: CourseCounters,
        links: RunLinks,
    ) -> None:
        self._current = current
        self._watch = watch
        self._course = course
        self._containers = containers
        self._counters = counters
        self._links = links

    def status(self) -> dict[str, Any]:
        """What it is like now, and how a course has ended."""
        answer = self.at(time.time())
        for name, device in answer["devices"].items():
            container = self._containers.by_device.get(name)
            device["exit_code"] = container.exit_code if container is not None else None
        return {**answer, **snapshot.ending(self._watch.supervisor)}

    def at(self, now: float) -> dict[str, Any]:
        """What it is like at this time, in Unix seconds, for people who watch."""
        supervisor, settings = self._watch.supervisor, self._current.settings
        final = self._course.ended_for(settings.time_scale.to_wall(SETTLE_S)) or (
            self._course.has_ended and not self._containers.running_pids()
        )
        devices = {
            name: device | self._counters.now(name)
            for name, device in self._watch.devices(self._containers.by_device).items()
        }
        return {
            "t": round(now, 3),
            "lab_host": settings.lab_host,
            "state": snapshot.run_state(supervisor, final),
            **snapshot.course_part(supervisor, settings.total_rounds, settings.time_scale.factor),
            "backend": self._links.backend,
            "counts": snapshot.counts(devices.values()),
            "devices": devices,
        }
