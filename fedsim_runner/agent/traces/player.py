"""Has links follow their variations from the opening of the gate on, in a thread of its own."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from fedsim_runner.contract import events
from fedsim_runner.contract.errors import FedsimError
from fedsim_runner.contract.link import Links
from fedsim_runner.contract.link_variation import NEVER, Track, Variation, course_of

from ..timeline.priority import gain_priority
from .playback import Playback

#: Changes of many devices are made together, so often at most.
BATCH_S: Final = 0.02
#: The thread rests for so many times as long as it has computed for a batch: late steps are skipped, and devices have
#: the processors.
REST: Final = 3.0

#: Has links be these, by device; returns the devices for which that failed, with reasons.
Change = Callable[[Mapping[str, Links]], Mapping[str, str]]


class Player:
    """Plays the variations of one run on one lab host.

    Args:
        change: brings links into force.
        record: writes an event to the journal.
    """

    def __init__(self, change: Change, record: Callable[[events.Event], None]) -> None:
        self._change = change
        self._record = record
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(
        self, open_at: float, variations: Mapping[str, Variation], tracks: Mapping[str, Track], seed: int
    ) -> None:
        """Start, if any link varies and they do not play yet. ``open_at``: when the gate opened, in Unix seconds."""
        if not variations or self._thread is not None or self._stopping.is_set():
            return
        playback = Playback({name: course_of(one, tracks, seed, name) for name, one in variations.items()})
        # From here on a clock that is set does not matter.
        opened = time.monotonic() - (time.time() - open_at)
        self._record(events.LinksVarying(devices=tuple(variations)))
        self._thread = threading.Thread(target=self._play, args=(playback, opened), name="traces", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Leave links as they are, and record how punctual their changes were."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _play(self, playback: Playback, opened: float) -> None:
        changes, latest_s = 0, 0.0
        failed: dict[str, str] = {}
        pause_s = 0.0
        if (os.cpu_count() or 1) > 1:  # on a single processor, packets would wait for each batch
            gain_priority()
        while playback.next_s < NEVER:
            wait_s = opened + playback.next_s - time.monotonic()
            if self._stopping.wait(max(wait_s, pause_s)):
                break
            due_s, computed_s = playback.next_s, time.thread_time()
            now = playback.advance(time.monotonic() - opened)
            try:
                failed = {**self._change(now), **failed}
            except FedsimError as error:
                failed = {**dict.fromkeys(now, str(error)), **failed}
                break  # the run's network is gone, and the course with it
            pause_s = max(BATCH_S, REST * (time.thread_time() - computed_s))
            if due_s > 0:  # the first are in force already
                changes += len(now)
                latest_s = max(latest_s, time.monotonic() - opened - due_s)
        self._record(
            events.LinksVaried(
                changes=changes,
                latest_s=round(latest_s, 3),
                failed=tuple(f"{name}: {reason}" for name, reason in failed.items()),
            )
        )
