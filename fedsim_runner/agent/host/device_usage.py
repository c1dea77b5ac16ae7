"""How much a device uses right now, and whether that shows that it is working. Pure: samples in, rates out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# Usage counts as a sign of life over this time, so that a short burst does not; less if the silence timeout is short.
WINDOW_S = 5.0
WINDOWS_IN_SILENCE = 4
# An idle participant uses less than half a percent of a core; a training one uses all that it may.
BUSY_SHARE = 0.2
BUSY_CORES = 0.05
# One that is not known to compute must use more of a small limit: half a percent of a core is much of that.
UNKNOWN_BUSY_SHARE = 0.5
# A connection to a process that has stopped reading carries only probes: tens of bytes at growing intervals.
MOVING_BYTES_S = 100.0
_COMPUTING = ("joining", "training", "evaluating", "aggregating")


@dataclass(frozen=True)
class Reading:
    """One sample of a device: counters since its start, and its memory now; None for values that are not counted."""

    memory_bytes: int | None
    cpu_seconds: float
    throttled_seconds: float = 0.0
    oom_kills: int = 0
    rx_bytes: int | None = None
    tx_bytes: int | None = None


@dataclass(frozen=True)
class Rates:
    """Rates over the last sample: cores used, the share of time throttled by its CPU limit, bit/s."""

    cpu: float
    throttled: float
    up_bps: float | None
    down_bps: float | None


class Usage:
    """The readings of one course's devices. ``silence_s``: the course's ``silence_timeout``."""

    def __init__(self, silence_s: float) -> None:
        self._window_s = min(WINDOW_S, silence_s / WINDOWS_IN_SILENCE)
        self._last: dict[str, tuple[float, Reading]] = {}
        self._rates: dict[str, Rates] = {}
        self._marks: dict[str, tuple[float, Reading]] = {}

    def add(self, now: float, readings: Mapping[str, Reading]) -> None:
        """Add the newest sample of every running device."""
        for name, reading in readings.items():
            before = self._last.get(name)
            self._last[name] = now, reading
            if before is None or reading.cpu_seconds < before[1].cpu_seconds:  # another container of the device
                self._rates.pop(name, None)
                self._marks[name] = now, reading
            elif now > before[0]:
                self._rates[name] = _rates(before[1], reading, now - before[0])
        for name in self._last.keys() - readings.keys():
            del self._last[name]
            self._rates.pop(name, None)
            self._marks.pop(name, None)

    def reading(self, device: str) -> Reading | None:
        """The last sample; None while the device does not run."""
        last = self._last.get(device)
        return last[1] if last is not None else None

    def rates(self, device: str) -> Rates | None:
        return self._rates.get(device)

    def has_run(self, device: str) -> bool:
        """Whether it has used processor time between the last two samples."""
        rates = self._rates.get(device)
        return rates is not None and rates.cpu > 0

    def is_working(self, device: str, state: str, cpus: float | None, now: float, *, waits_idle: bool) -> bool:
        """Whether the device's counters show, once in a window, that it works.

        Joining, training, evaluating and aggregating take CPU time; receiving and sending move bytes. Whatever its
        state is, one that would wait idle works if it uses the processor: it packs a message, say.
        """
        if device not in self._last or now - self._marks[device][0] < self._window_s:
            return False
        since, mark = self._marks[device]
        reading = self._last[device][1]
        self._marks[device] = now, reading
        seconds = now - since
        used = (reading.cpu_seconds - mark.cpu_seconds) / seconds
        if state in _COMPUTING:
            return used >= _least_cores(BUSY_SHARE, cpus)
        if waits_idle and used >= _least_cores(UNKNOWN_BUSY_SHARE, cpus):
            return True
        if state in ("receiving", "sending") and reading.rx_bytes is not None and reading.tx_bytes is not None:
            moved = reading.rx_bytes + reading.tx_bytes - (mark.rx_bytes or 0) - (mark.tx_bytes or 0)
            return moved >= MOVING_BYTES_S * seconds
        return False


def _least_cores(share: float, cpus: float | None) -> float:
    return BUSY_CORES if cpus is None else min(BUSY_CORES, share * cpus)


def _rates(before: Reading, after: Reading, seconds: float) -> Rates:
    def bits(old: int | None, new: int | None) -> float | None:
        return None if old is None or new is None else max(0, new - old) * 8 / seconds

    return Rates(
        cpu=(after.cpu_seconds - before.cpu_seconds) / seconds,
        # cgroup v1 adds up the time of all cores.
        throttled=min(1.0, max(0.0, after.throttled_seconds - before.throttled_seconds) / seconds),
        up_bps=bits(before.tx_bytes, after.tx_bytes),
        down_bps=bits(before.rx_bytes, after.rx_bytes),
    )
