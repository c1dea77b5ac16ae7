"""Address ranges held between planning a run and creating its network, so that two runs do not collide.

Once the network exists the Docker Engine itself is the record; a reservation whose process has ended is stale.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .process_identity import is_alive, own_identity


class Reservations:
    """Reservations under one folder, guarded by a file lock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock while planning: read :meth:`networks`, plan, :meth:`reserve`.

        Raises:
            OSError: the folder cannot be made or written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def networks(self) -> tuple[str, ...]:
        """The IPv4 networks that running processes have reserved."""
        held = []
        for path in sorted(self._folder.glob("*.json")):
            try:
                entry = json.loads(path.read_text(encoding="utf-8"))
                alive = is_alive(str(entry["control"]))
                network = str(entry["network"])
            except (OSError, ValueError, KeyError):
                alive = False
            if alive:
                held.append(network)
            else:
                path.unlink(missing_ok=True)
        return tuple(held)

    def reserve(self, run: str, network: str) -> None:
        """Hold ``network`` for ``run`` until this process ends or calls :meth:`release`."""
        entry = {"network": network, "control": own_identity()}
        (self._folder / f"{run}.json").write_text(json.dumps(entry), encoding="utf-8")

    def release(self, run: str) -> None:
        """Release the network of ``run``; safe to call twice."""
        (self._folder / f"{run}.json").unlink(missing_ok=True)
