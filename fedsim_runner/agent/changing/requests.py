"""Making requests in the namespaces of devices when they are due, and what has become of them."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..kernel import netlink, netns
from .due_requests import DueParts, DueRequests, Part

#: The run's namespace.
RUN = ""


@dataclass
class Outcome:
    """What has become of a change.

    Attributes:
        late_s: by how much the last of its requests was late.
        made: the settings that it has changed, as device and item; a later change has made the others before.
        refused: reasons by device.
    """

    late_s: float = 0.0
    made: list[tuple[str, str]] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


class Requests:
    """Channels to namespaces, and changes that wait."""

    def __init__(self) -> None:
        self._channels: dict[str, socket.socket] = {}
        self._due = DueRequests()
        self._outcomes: dict[int, Outcome] = {}

    @property
    def next_s(self) -> float | None:
        """When the next change is due, on the monotonic clock; None: none waits."""
        return self._due.next_s

    def open(self, where: str, path: str) -> None:
        """Have a channel to a device's namespace, or to the run's, and to none that it had before.

        Raises:
            OSError: the namespace is gone.
        """
        self.close(where)
        with netns.inside(path):
            self._channels[where] = netlink.open_channel()

    def close(self, where: str) -> None:
        """Let a namespace go."""
        channel = self._channels.pop(where, None)
        if channel is not None:
            channel.close()
            self._due.forget(where)

    def hold(self, number: int, at_s: float, parts: Sequence[Part]) -> None:
        """Keep a change until its time on the monotonic clock."""
        self._due.hold(number, at_s, parts)

    def make_next(self, now_s: float) -> bool:
        """Make the next change that is due; return whether there was one."""
        due = self._due.take(now_s)
        if due is not None:
            self._make(due)
        return due is not None

    def outcome(self, number: int) -> Outcome:
        """What has become of a change, which nobody asks for again; one that still waits is made."""
        due = self._due.take_number(number)
        if due is not None:
            self._make(due)
        return self._outcomes.pop(number, Outcome())

    def _make(self, due: DueParts) -> None:
        outcome = self._outcomes[due.number] = Outcome()
        together: dict[str, list[tuple[Part, netlink.Request]]] = {}
        for part in due.parts:
            together.setdefault(part.where, []).extend((part, form.at(part.index)) for form in part.forms)
        for where, asked in together.items():
            channel = self._channels.get(where)
            if channel is None:
                outcome.refused |= dict.fromkeys((part.device for part, _ in asked), "its namespace is gone")
                continue
            try:
                refused = netlink.ask_all([request for _, request in asked], channel)
            except OSError as error:
                outcome.refused |= dict.fromkeys((part.device for part, _ in asked), str(error))
                continue
            outcome.refused |= {asked[place][0].device: str(error) for place, error in refused.items()}
        outcome.late_s = time.monotonic() - due.at_s
        outcome.made = [(part.device, part.item) for part in due.parts]
