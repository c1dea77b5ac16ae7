"""Which links change next, and to what, of all devices together. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Mapping

from fedsim_runner.contract.link import Links
from fedsim_runner.contract.link_variation import NEVER, Course


class Playback:
    """The courses of several devices' links, in one queue of times. Seconds count from the opening of the gate.

    Attributes:
        next_s: when the next link changes; :data:`NEVER`: none does any more.
    """

    def __init__(self, courses: Mapping[str, Course]) -> None:
        self._courses = courses
        self._heap: list[tuple[float, str]] = [(0.0, name) for name in courses]
        heapq.heapify(self._heap)
        self.next_s = 0.0 if self._heap else NEVER

    def advance(self, elapsed_s: float) -> dict[str, Links]:
        """The links that have changed since the last call, as they are now: steps that are over are skipped."""
        now: dict[str, Links] = {}
        while self._heap and self._heap[0][0] <= elapsed_s:
            name = self._heap[0][1]
            now[name], next_s = self._courses[name].at(elapsed_s)
            if next_s == NEVER:
                heapq.heappop(self._heap)
            else:
                heapq.heapreplace(self._heap, (max(next_s, elapsed_s + 0.001), name))
        self.next_s = self._heap[0][0] if self._heap else NEVER
        return now
