"""Which participants load their engines next, so that a machine has little more to do than its cores can: pure.

Loading takes CPU seconds (0.3 for the light engine, up to 6 with torch) and runs without a CPU limit. Were all admitted
at once, hundreds of processes would compete, each would take as long as all, and nobody could say which one hangs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass

# Loading waits for the disk now and then, so two for each core keep all cores busy.
PER_CORE = 2
# A participant that has not loaded after this time never will: ten times what its engine says it needs, and a minute
# for a machine that is busy with something else.
LEAST_LIMIT_S = 60.0
LIMIT_FACTOR = 10.0


@dataclass(frozen=True)
class Turn:
    """What to do now.

    Attributes:
        settled: participants that have just loaded, or ended: their limits are due again.
        overdue: participants that have not loaded in time.
        admitted: participants that load from now on.
    """

    settled: tuple[str, ...] = ()
    overdue: tuple[str, ...] = ()
    admitted: tuple[str, ...] = ()


class Admission:
    """The order in which one lab host's participants load. Times are on the scale of the caller's ``now``.

    Args:
        limits_s: for each participant, in the order of admission, the seconds in which it must load.
        at_once: how many load at the same time.
    """

    def __init__(self, limits_s: Mapping[str, float], at_once: int) -> None:
        self._limits_s = dict(limits_s)
        self._at_once = max(1, at_once)
        self._waiting = deque(self._limits_s)
        self._loading: dict[str, float] = {}

    @property
    def is_done(self) -> bool:
        """Whether nobody is left to load."""
        return not self._waiting and not self._loading

    @property
    def longest_s(self) -> float:
        """Seconds after which all have loaded or are overdue, even if each of them takes all its time."""
        return sum(self._limits_s.values()) / self._at_once + max(self._limits_s.values(), default=0.0)

    def limit_s(self, name: str) -> float:
        """Seconds in which a participant must load."""
        return self._limits_s[name]

    def prolong(self, name: str, seconds: float) -> None:
        """Give a participant more time."""
        self._limits_s[name] += seconds

    def next(self, now: float, done: Collection[str]) -> Turn:
        """Who stops and who begins to load; ``done``: participants that have loaded or ended by now."""
        settled = tuple(name for name in self._loading if name in done)
        late = [name for name, since in self._loading.items() if now - since >= self._limits_s[name]]
        overdue = tuple(name for name in late if name not in done)
        for name in (*settled, *overdue):
            del self._loading[name]
        admitted: list[str] = []
        while self._waiting and len(self._loading) < self._at_once:
            name = self._waiting.popleft()
            if name not in done:  # otherwise it has ended, or loaded under an agent before this one
                self._loading[name] = now
                admitted.append(name)
        return Turn(settled, overdue, tuple(admitted))


def limit_s(start_cpu_s: float) -> float:
    """Seconds in which a participant must load an engine that says it needs ``start_cpu_s`` CPU seconds."""
    return LEAST_LIMIT_S + LIMIT_FACTOR * start_cpu_s
