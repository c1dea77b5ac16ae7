"""Has links follow their variations from the opening of the gate on, in a thread of its own."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from fedsim_runner.contract import events
from fedsim_runner.contract.errors import FedsimError
from fedsim_runner.contract.link import Links
from fedsim_runner.contract.link_variation import NEVER, Track, Variation, course_of

from ..links.shaping.results import Result
from ..timeline.priority import gain_priority, spare_collections
from .playback import Playback
from .rest import Rest

#: Changes of many devices are made together, so often at most.
BATCH_S: Final = 0.02

#: They are prepared so long before their time: this thread waits for others of the agent, and for processors.
AHEAD_S: Final = 0.25

#: Has links be these, by device, at this time of the monotonic clock; what is returned waits until then, and returns
#: what has become of it.
Change = Callable[[Mapping[str, Links], float], Callable[[], Mapping[str, Result]]]


@dataclass(frozen=True)
class _Batch:
    """Changes that are made together, with the last of them; ``due_s`` is when the first was due."""

    due_s: float
    at_s: float
    devices: Sequence[str]
    counts: bool
    finish: Callable[[], Mapping[str, Result]]


@dataclass
class _Said:
    """What the journal says in the end."""

    changes: int = 0
    latest_s: float = 0.0
    failed: dict[str, str] = field(default_factory=dict)

    def take(self, batch: _Batch) -> None:
        """Wait for a batch, and see what has become of it."""
        try:
            results = batch.finish()
        except FedsimError as error:
            self.fail(batch.devices, error)
            return
        self.failed = {name: one.failed for name, one in results.items() if one.failed is not None} | self.failed
        if batch.counts:
            self.changes += len(batch.devices)
            late_s = max((one.late_s for one in results.values()), default=0.0)
            self.latest_s = max(self.latest_s, batch.at_s - batch.due_s + late_s)

    def fail(self, devices: Iterable[str], error: FedsimError) -> None:
        """Take note of why the links of these could not be changed."""
        self.failed = {**dict.fromkeys(devices, str(error)), **self.failed}


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
        self,
        open_at: float,
        variations: Mapping[str, Variation],
        tracks: Mapping[str, Track],
        seed: int,
        packets_wait_here: bool,
    ) -> None:
        """Start, if any link varies and they do not play yet.

        Args:
            open_at: when the gate opened, in Unix seconds.
            variations: of links, by device.
            tracks: that these name.
            seed: of the run.
            packets_wait_here: a process of the agent passes packets.
        """
        if not variations or self._thread is not None or self._stopping.is_set():
            return
        playback = Playback({name: course_of(one, tracks, seed, name) for name, one in variations.items()})
        spare_collections()
        # From here on a clock that is set does not matter.
        opened = time.monotonic() - (time.time() - open_at)
        self._record(events.LinksVarying(devices=tuple(variations)))
        # On a single processor, packets would wait for each batch.
        in_real_time = (os.cpu_count() or 1) > 1 or not packets_wait_here
        self._thread = threading.Thread(
            target=self._play, args=(playback, opened, in_real_time), name="traces", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Leave links as they are, and record how punctual their changes were."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _play(self, playback: Playback, opened: float, in_real_time: bool) -> None:
        if in_real_time:
            gain_priority()
        said, rest = _Said(), Rest()
        begun: deque[_Batch] = deque()
        rest_until_s = 0.0
        while begun or playback.next_s < NEVER:
            prepare_s = max(opened + playback.next_s - AHEAD_S, rest_until_s)
            next_s = min(prepare_s, begun[0].at_s) if begun else prepare_s
            if self._stopping.wait(max(0.0, next_s - time.monotonic())):
                break
            computed_s = time.thread_time()
            if begun and begun[0].at_s <= prepare_s:
                said.take(begun.popleft())
            else:
                due_s, is_first = opened + playback.next_s, playback.next_s == 0
                # The first are in force already.
                at_s = max(due_s if is_first else due_s + BATCH_S, time.monotonic())
                now = playback.advance(at_s - opened)
                try:
                    begun.append(_Batch(due_s, at_s, tuple(now), not is_first, self._change(now, at_s)))
                except FedsimError as error:
                    said.fail(now, error)
                    break  # the run's network is gone, and the course with it
            rest_until_s = rest.until_s(time.monotonic(), time.thread_time() - computed_s)
        for batch in begun:
            said.take(batch)
        self._record(
            events.LinksVaried(
                changes=said.changes,
                latest_s=round(said.latest_s, 3),
                failed=tuple(f"{name}: {reason}" for name, reason in said.failed.items()),
            )
        )
