"""Address ranges held between planning a run and the creation of its network, so that two runs do not meet.

Once the network exists the Docker Engine itself is the record; a reservation of a process that is gone is stale.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Reservations:
    """Reservations under one folder, guarded by a file lock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold while planning: read :meth:`networks`, plan, :meth:`reserve`.

        Raises:
            OSError: the folder cannot be made or written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def networks(self) -> tuple[str, ...]:
        """IPv4 networks that living processes have reserved."""
        held = []
        for path in sorted(self._folder.glob("*.json")):
            try:
                entry = json.loads(path.read_text(encoding="utf-8"))
                alive = _start_time(int(entry["pid"])) == entry["started"]
                network = str(entry["network"])
            except (OSError, ValueError, KeyError):
                alive = False
            if alive:
                held.append(network)
            else:
                path.unlink(missing_ok=True)
        return tuple(held)

    def reserve(self, run: str, network: str) -> None:
        """Hold ``network`` for ``run`` as long as this process lives or until :meth:`release`."""
        entry = {"network": network, "pid": os.getpid(), "started": _start_time(os.getpid())}
        (self._folder / f"{run}.json").write_text(json.dumps(entry), encoding="utf-8")

    def release(self, run: str) -> None:
        """Give the network of ``run`` back; safe to call twice."""
        (self._folder / f"{run}.json").unlink(missing_ok=True)


def _start_time(pid: int) -> str | None:
    """Start time of a process in clock ticks since boot (proc(5), stat field 22): tells a reused pid apart."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return None
    return stat.rpartition(")")[2].split()[19]
