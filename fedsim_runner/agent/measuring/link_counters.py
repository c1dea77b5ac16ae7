"""One line for each direction of a link and second in which something has passed it or waits for it: counters.

They begin with the request to open the gate, so that what measured the links is not in them, and end with the course.
Like the samples of devices, they get rarer the larger the file is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fedsim_runner.contract.atomic import AppendFile

from ..host.samples import PART_BYTES, SLACK_S
from ..links.network.veth import DOWN, UP
from ..links.run_links import RunLinks
from ..links.tally import Passed

# t: Unix seconds; the counters are those of the seconds before it, the backlog is that at t.
HEADER = "t,device,direction,seconds,bytes,packets,lost,overflowed,backlog_bytes"

_NOTHING = Passed(0, 0, 0, 0, 0)


class LinkCounters:
    """Appends to ``link_counters.csv``. Not thread-safe: its owner holds a lock.

    Args:
        path: the file.
        links: the run's links on this lab host.
    """

    def __init__(self, path: Path, links: RunLinks) -> None:
        """Open the file.

        Raises:
            CannotWriteError: it cannot be created.
        """
        self._links = links
        self._known: dict[tuple[str, str], Passed] = {}
        self._written: dict[tuple[str, str], Passed] = {}
        self._written_at = 0.0
        self._packets_per_s: dict[tuple[str, str], float] = {}
        self._looked_at = 0.0
        self._next_write = 0.0
        fresh = not path.exists()
        self._output = AppendFile(path)
        if fresh:
            self._output.append(f"{HEADER}\n".encode())

    def begin(self, now: float) -> None:
        """The links' own counters begin now (Unix seconds)."""
        self._known.clear()
        self._written.clear()
        self._packets_per_s.clear()
        self._written_at = self._looked_at = now

    def sample(self, now: float, running: Mapping[str, int]) -> None:
        """Read the counters, and write what has passed since the last line, unless the file is large and it is early.

        Args:
            now: Unix seconds.
            running: process ids of the running devices.

        Raises:
            CannotWriteError: the lines are not in the file.
        """
        self._look(now, running)
        if now >= self._next_write:
            self._write(now)

    def finish(self, now: float, running: Mapping[str, int]) -> None:
        """Write the last lines: the course has ended. Arguments and errors as those of :meth:`sample`."""
        self._look(now, running)
        self._write(now)
        self._packets_per_s.clear()
        self._known = {key: passed._replace(backlog_bytes=0) for key, passed in self._known.items()}

    def now(self, device: str) -> dict[str, float | None]:
        """What waits for a device's link in bytes, packets for which it had no room so far, and those that come in a
        second; None if not known.
        """
        found: dict[str, float | None] = {}
        for way in (UP, DOWN):
            one = self._known.get((device, way))
            found[f"{way}_backlog_bytes"] = None if one is None else one.backlog_bytes
            found[f"{way}_overflowed"] = None if one is None else one.overflowed
            found[f"{way}_packets_per_s"] = self._packets_per_s.get((device, way), None if one is None else 0.0)
        overflowed = [some for way in (UP, DOWN) if (some := found[f"{way}_overflowed"]) is not None]
        return {**found, "overflowed": sum(overflowed) if overflowed else None}

    def close(self) -> None:
        """Close the file."""
        self._output.close()

    def _look(self, now: float, running: Mapping[str, int]) -> None:
        seconds, self._looked_at = now - self._looked_at, now
        self._packets_per_s.clear()
        for key, found in self._links.look(running).items():
            before = self._known.get(key, _NOTHING)
            # In user space a packet may come to its queue a moment before it is due there.
            self._known[key] = found._replace(bytes=max(found.bytes, before.bytes))
            if seconds > 0:
                self._packets_per_s[key] = round(max(0, found.packets - before.packets) / seconds, 1)

    def _write(self, now: float) -> None:
        begin = f"{now:.3f},"
        seconds = f",{now - self._written_at:.3f},"
        lines = [
            f"{begin}{device},{way}{seconds}{_difference(passed, self._written.get((device, way), _NOTHING))}\n"
            for (device, way), passed in self._known.items()
            if passed.backlog_bytes or passed != self._written.get((device, way), _NOTHING)
        ]
        if lines:
            written = self._output.append("".join(lines).encode())
            self._next_write = now + (1 << written // PART_BYTES) - SLACK_S
        self._written = dict(self._known)
        self._written_at = now


def _difference(now: Passed, before: Passed) -> str:
    counted = (
        f"{now.bytes - before.bytes},{now.packets - before.packets},{now.lost - before.lost},"
        f"{now.overflowed - before.overflowed}"
    )
    return f"{counted},{now.backlog_bytes}"
