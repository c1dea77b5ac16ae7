"""Who is offline, in a participant of FederatedScope: connections that were cut, and clients that are not sampled."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..absences import Absences

POLL_S = 0.25


class CutConnections:
    """Follows the file of those who are offline, in a thread of its own: others wait for messages to be sent.

    Args:
        absences: reads the file.
        changed: called with each address that cannot be reached any longer, or can be again.
    """

    def __init__(self, absences: Absences, changed: Callable[[str], None]) -> None:
        self._absences = absences
        self._changed = changed
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._away: set[str] = set()
        self._changes: Counter[str] = Counter()
        threading.Thread(target=self._follow, name="offline", daemon=True).start()

    def is_cut(self, address: str) -> bool:
        """Whether an address cannot be reached now."""
        with self._lock:
            if address not in self._known:
                self._known.add(address)
                self._update(address)
            return address in self._away

    def count(self, address: str) -> int:
        """How often it has been cut, and was back, so far."""
        with self._lock:
            return self._changes[address]

    def _update(self, address: str) -> bool:
        """Bring one address up to date, and return whether that changes anything."""
        cut_off = self._absences.cut_off(address)
        if cut_off == (address in self._away):
            return False
        self._away.symmetric_difference_update({address})
        self._changes[address] += 1
        return True

    def _follow(self) -> None:
        pause = threading.Event()
        while not pause.wait(POLL_S):
            with self._lock:
                changed = [one for one in self._known if self._update(one)] if self._absences.refresh() else []
            for address in changed:
                self._changed(address)


class OfflineClients:
    """The clients of a server that are offline: its sampler takes none of them.

    Args:
        sampler: FederatedScope's, whose ``client_state`` is 1 for each client that it may take.
        absences: reads the file.
    """

    def __init__(self, sampler: Any, absences: Absences) -> None:
        self._sampler = sampler
        self._absences = absences
        self._states: dict[int, int] = {}  # of those that are offline: what they will be when they are back

    @property
    def ids(self) -> set[int]:
        """Who is offline."""
        return set(self._states)

    def changed(self, addresses: Mapping[int, str]) -> dict[int, bool]:
        """Which of these clients have gone offline, true, or are back, false, since the last call of :meth:`take`."""
        self._absences.refresh()
        found = {int(client): self._absences.cut_off(address) for client, address in addresses.items()}
        return {client: offline for client, offline in found.items() if offline != (client in self._states)}

    def take(self, changed: Mapping[int, bool]) -> None:
        """Take note of changes."""
        states = self._sampler.client_state
        for client, offline in changed.items():
            if offline:
                self._states[client], states[client] = int(states[client]), 0
            else:
                states[client] = self._states.pop(client)

    def keep(self, clients: Iterable[int]) -> None:
        """The sampler has new states for these: those that are offline get them when they are back."""
        states = self._sampler.client_state
        for client in set(clients) & self.ids:
            self._states[client], states[client] = int(states[client]), 0
