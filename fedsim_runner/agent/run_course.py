"""What the course has this agent do: for a lost client, at its end, and with links that vary and events that wait."""

from __future__ import annotations

import time

from ..contract import events
from ..contract.atomic import CannotWriteError
from ..contract.events import Event
from .containers import Containers
from .course.watch import Watch
from .current import Current
from .gatekeeper import Gatekeeper
from .links.run_links import RunLinks
from .measuring.course_counters import CourseCounters
from .recording import Recorder
from .timeline.timeline import Timeline
from .traces.player import Player


class RunCourse:
    """Acts on the events of one course. Not thread-safe: its owner holds a lock.

    Args:
        current: the settings.
        watch: the course.
        gatekeeper: informs the server of lost clients.
        containers: whose processes are ended.
        links: that vary.
        timeline: what happens during the course.
        player: has links vary.
        counters: of what has passed the links.
        recorder: writes events.
    """

    def __init__(
        self,
        current: Current,
        watch: Watch,
        gatekeeper: Gatekeeper,
        containers: Containers,
        links: RunLinks,
        timeline: Timeline,
        player: Player,
        counters: CourseCounters,
        recorder: Recorder,
    ) -> None:
        self._current = current
        self._watch = watch
        self._gatekeeper = gatekeeper
        self._containers = containers
        self._links = links
        self._timeline = timeline
        self._player = player
        self._counters = counters
        self._recorder = recorder
        self._ended_at: float | None = None

    @property
    def has_ended(self) -> bool:
        """Whether there was a course, which has ended."""
        return self._ended_at is not None

    def ended_for(self, seconds: float) -> bool:
        """Whether the course ended at least so long ago."""
        return self._ended_at is not None and time.monotonic() - self._ended_at >= seconds

    def act(self, event: Event) -> None:
        """Act on an event of the course and record it."""
        supervisor = self._watch.supervisor
        if isinstance(event, events.ClientLost) and event.device is not None and supervisor is not None:
            try:
                self._gatekeeper.announce_lost(supervisor.lost)
            except CannotWriteError as error:
                self._recorder.record(event)
                self._watch.fail(None, f"the server cannot be informed of a lost client: {error}")
                return
            # A frozen client must not wake up and disturb the course that goes on without it.
            self._containers.send([event.device], "KILL")
        if supervisor is not None and supervisor.outcome is not None and self._ended_at is None:
            self._player.stop()
            # Before the last event that anybody waits for.
            self._counters.finish(self._current.settings, self._timeline.changed)
        if supervisor is None or supervisor.judges or not isinstance(event, events.ClientLost):
            self._recorder.record(event)
        if supervisor is not None and supervisor.outcome is not None and self._ended_at is None:
            self._ended_at = time.monotonic()
            self._timeline.stop()
            self._gatekeeper.keep_shut()
            # The participants still running can write their last files, and then free the processors.
            self._containers.send(list(self._containers.running_pids()), "TERM")

    def play(self) -> None:
        """Have links vary as planned, from the opening of the gate to the end of the course."""
        if self._gatekeeper.open_at is not None and self._watch.is_on:
            settings = self._current.settings
            self._player.begin(
                self._gatekeeper.open_at,
                settings.variations,
                settings.tracks,
                settings.links.seed,
                self._links.packets_wait_here,
            )

    def look_at_timeline(self) -> None:
        """See whether what an event waits for has come."""
        supervisor, open_at = self._watch.supervisor, self._gatekeeper.open_at
        if supervisor is None or supervisor.outcome is not None or open_at is None:
            return
        self._timeline.open(open_at, self._current.settings, supervisor)
        self._watch.read(self._timeline.awaited)
        for name, reason in self._timeline.look(supervisor).items():
            self._watch.lose(name, f"it could not be restarted: {reason}")
        supervisor.feed_offline(self._timeline.away, time.monotonic())
