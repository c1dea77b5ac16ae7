"""Which peers cannot be reached because they are offline, or because this device is: ``offline.json`` in the gate's
folder.

The agent names there the devices whose links are cut for now. Each participant reads it: a server does not ask clients
that are offline; and on either side a connection that was cut is made anew as soon as both are online, as a device does
whose network is back, while TCP would only try again after a time as long as the cut.
"""

from __future__ import annotations

from pathlib import Path

from ..contract.paths import GATE_OFFLINE
from ..contract.records import read_offline

# What belongs to joining is sent whatever the file says: a device's link is cut once it has joined.
JOINING = frozenset({"join_in", "join_in_info", "assign_client_id", "ask_for_join_in_info"})


class Absences:
    """Reads the file when it changes; polling an unchanged file costs one ``stat``.

    Args:
        gate: the gate's folder.
        own: this device's name.
    """

    def __init__(self, gate: Path, own: str) -> None:
        self._path = gate / GATE_OFFLINE
        self._own = own
        self._seen: tuple[int, int, int] | None = None
        self._offline: frozenset[str] = frozenset()

    def refresh(self) -> bool:
        """Read the file, and return whether it names other devices than before."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return False
        mark = (status.st_mtime_ns, status.st_ino, status.st_size)
        if mark == self._seen:
            return False
        try:
            found = read_offline(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False  # replaced between the two calls: the next call reads it
        self._seen = mark
        changed, self._offline = found != self._offline, found
        return changed

    @property
    def is_own(self) -> bool:
        """Whether this device itself is offline."""
        return self._own in self._offline

    def cut_off(self, address: str) -> bool:
        """Whether a peer cannot be reached; ``address``: its host, which in containers is its name, and its port."""
        return self.is_own or bool(self._offline & {address, address.rpartition(":")[0]})
