"""What the agent does once a second: samples of devices and links, disk limits, the run's files, the snapshot."""

from __future__ import annotations

import contextlib
import json
import os

from ..contract.atomic import CannotWriteError, replace
from ..contract.paths import StateFolder
from .containers import Containers
from .course.watch import Watch
from .current import Current
from .health import Health
from .host.disk_limits import DiskLimits
from .host.host_load import HostLoad
from .host.samples import Sampler
from .measuring.course_counters import CourseCounters
from .recording import Recorder
from .run_state import RunState
from .timeline.timeline import Timeline

SAMPLE_S = 1.0


class Sampling:
    """Takes the samples of one run. Not thread-safe: its owner holds a lock.

    Args:
        state: the run's state folder.
        current: the settings.
        watch: the course.
        containers: those of the devices.
        sampler: what they use.
        timeline: knows whom it has frozen.
        counters: of the links.
        health: looks at the run's files.
        run_state: what the snapshot has.
        recorder: writes events.

    Raises:
        CannotWriteError: a file cannot be created.
    """

    def __init__(
        self,
        state: StateFolder,
        current: Current,
        watch: Watch,
        containers: Containers,
        sampler: Sampler,
        timeline: Timeline,
        counters: CourseCounters,
        health: Health,
        run_state: RunState,
        recorder: Recorder,
    ) -> None:
        self._snapshot = state.snapshot
        self._current = current
        self._watch = watch
        self._containers = containers
        self._sampler = sampler
        self._timeline = timeline
        self._counters = counters
        self._health = health
        self._run_state = run_state
        self._recorder = recorder
        self._disk = DiskLimits(state)
        self._host_load = HostLoad(state.host_load)
        self._next_s = 0.0

    def tick(self, now: float) -> None:
        """Take a sample if one is due; ``now`` in Unix seconds."""
        if now < self._next_s:
            return
        self._next_s = max(self._next_s + SAMPLE_S, now + SAMPLE_S / 2)
        self.check_disk()
        self._health.check_files()
        self._watch.sample(now, self._sampler.read(), self._containers.by_device, self._timeline.frozen)
        try:
            self._sampler.write(now)
            self._host_load.write(now)
            if self._watch.is_on:
                self._counters.sample(now)
            replace(self._snapshot, json.dumps(self._run_state.at(now)) + "\n")
        except CannotWriteError as error:
            self._recorder.report_write_error(error)
            self._show_life()

    def check_disk(self) -> None:
        """End each device that uses more of the disk than it may; the others need the space."""
        self._disk.check(self._current.settings.disk_bytes, self._containers.by_device)
        for name, reason in self._disk.over.items():
            self._watch.on_disk_full(name, reason)
        # Whether or not a course is running.
        self._containers.send(self._disk.over, "KILL")

    def close(self) -> None:
        """Take no more."""
        self._host_load.close()
        self._disk.close()

    def _show_life(self) -> None:
        """Change the snapshot's time, which needs no space: whoever follows the course sees that this agent works."""
        with contextlib.suppress(OSError):
            os.utime(self._snapshot)
