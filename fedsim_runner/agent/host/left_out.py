"""What passed devices' interfaces without counting: what was sent to measure their links. It outlives the agent."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from fedsim_runner.contract.atomic import CannotWriteError, replace


@dataclass(frozen=True)
class _Entry:
    """Of one device.

    Attributes:
        pid: its process; another one has an interface of its own.
        left_out: by how much the interface's counters are too large.
        shown: what counts while nothing that passes does; None: what passes counts.
    """

    pid: int
    left_out: Sequence[int]
    shown: Sequence[int] | None = None


class LeftOut:
    """Corrects the counters of interfaces.

    Args:
        path: a file in which a later agent finds what this one knows.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries = _read(path)
        # Of these the earlier agent was measuring the link when it ended, and the measurement with it.
        self._broken_off = {name for name, entry in self._entries.items() if entry.shown is not None}

    def begin(self, devices: Mapping[str, tuple[int, Sequence[int]]]) -> None:
        """From now on nothing that passes counts; by device: its process, and its interface's counters."""
        for name, (pid, counters) in devices.items():
            shown = self.counted(name, pid, counters)
            self._entries[name] = _Entry(pid, _difference(counters, shown), shown)
        self._write()

    def end(self, devices: Mapping[str, tuple[int, Sequence[int]]]) -> None:
        """What passes from now on counts."""
        for name, (pid, counters) in devices.items():
            self._end(name, pid, counters)
        self._write()

    def counted(self, device: str, pid: int, counters: Sequence[int]) -> Sequence[int]:
        """Return what counts of an interface's counters."""
        entry = self._entries.get(device)
        if entry is None or entry.pid != pid:
            return counters
        if device in self._broken_off:
            self._broken_off.discard(device)
            self._end(device, pid, counters)
            self._write()
            entry = self._entries[device]
        return _difference(counters, entry.left_out) if entry.shown is None else entry.shown

    def _end(self, device: str, pid: int, counters: Sequence[int]) -> None:
        entry = self._entries.get(device)
        if entry is not None and entry.pid == pid and entry.shown is not None:
            self._entries[device] = _Entry(pid, _difference(counters, entry.shown))

    def _write(self) -> None:
        # On a full disk the samples are missing, too, which the agent reports.
        with contextlib.suppress(CannotWriteError):
            replace(self._path, json.dumps({name: asdict(entry) for name, entry in self._entries.items()}))


def _difference(counters: Sequence[int], less: Sequence[int]) -> list[int]:
    return [max(0, one - other) for one, other in zip(counters, less, strict=True)]


def _read(path: Path) -> dict[str, _Entry]:
    try:
        return {name: _Entry(**entry) for name, entry in json.loads(path.read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}  # the first agent of this run
