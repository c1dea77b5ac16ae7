"""What each participant is doing, from the lines of its ``activity.jsonl``. Pure: text in, states out.

A line marks the start or the end of a step (see ``participant/activity.py``). A client is receiving while the server
has started to send to it and the message has not arrived; each participant reports everything else itself.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

Key = tuple[int, str, int]  # peer, kind of message, round

_BEGINS = {"train": "training", "evaluate": "evaluating", "aggregate": "aggregating"}
_ENDS = {"trained": "training", "evaluated": "evaluating", "aggregated": "aggregating"}
# Messages a client has to answer, and its answers.
_REQUESTS = frozenset({"model_para", "evaluate"})
_ANSWERS = frozenset({"model_para", "metrics"})
# A send that starts or fails is no progress: a participant that keeps retrying writes these lines forever.
_NOT_PROGRESS = frozenset({"send", "send_failed", "lost", "late"})
SERVER_ID = 0
_MOST_SENDS = 10_000  # sends of one participant under way: more make no sense
_LONGEST_LINE = 1000  # nor does a longer line, whose strings would be kept


@dataclass
class _Steps:
    doing: str | None = None
    round: int | None = None
    owes: bool = False
    sends: dict[Key, float] = field(default_factory=dict)
    received: dict[tuple[str, int], float] = field(default_factory=dict)


class Activities:
    """Follows the participants of one course by their names."""

    def __init__(self, names: Collection[str], server: str | None) -> None:
        self._steps: dict[str, _Steps] = {}
        self._names = frozenset(names)
        self._server = server

    def feed(self, device: str, text: str) -> bool:
        """Take one line and return whether it shows progress. Anything but an activity line is ignored."""
        line = _parse(text)
        if line is None or device not in self._names:
            return False
        what, moment = line["what"], line["t"]
        key = (line["peer"], line["kind"], line["round"])
        steps = self._steps.setdefault(device, _Steps())
        if what in _BEGINS:
            steps.doing, steps.round = _BEGINS[what], line["round"]
        elif what in _ENDS:
            if steps.doing == _ENDS[what]:
                steps.doing = None
        elif what == "send":
            if len(steps.sends) < _MOST_SENDS:
                steps.sends[key] = moment
        elif what in ("sent", "send_failed"):
            steps.sends.pop(key, None)
            if what == "sent" and line["kind"] in _ANSWERS and line["peer"] == SERVER_ID:
                steps.owes = False
        elif what == "received" and device != self._server:
            steps.received[line["kind"], line["round"]] = moment
            while len(steps.received) > 8:  # only the last ones may cross with the server's lines
                del steps.received[next(iter(steps.received))]
            steps.owes = steps.owes or line["kind"] in _REQUESTS
        return what not in _NOT_PROGRESS

    def has_lines(self, device: str) -> bool:
        """Whether it has written any line."""
        return device in self._steps

    def round(self, device: str) -> int | None:
        """The round of its last step of work, as FederatedScope counts."""
        steps = self._steps.get(device)
        return steps.round if steps is not None else None

    def owes(self, device: str) -> bool:
        """Whether a client has a request that it has not answered."""
        steps = self._steps.get(device)
        return steps is not None and steps.owes

    def is_receiving(self, device: str, client_id: int | None) -> bool:
        """Whether the server has started to send to this client and the message has not arrived."""
        server = self._steps.get(self._server) if self._server is not None else None
        if server is None or client_id is None:
            return False
        steps = self._steps.get(device)
        received = steps.received if steps is not None else {}
        return any(
            peer == client_id and received.get((kind, number), -1.0) < begun
            for (peer, kind, number), begun in server.sends.items()
        )

    def state(self, device: str, client_id: int | None) -> str | None:
        """training, evaluating, aggregating, sending, receiving or waiting; None if it has written no line."""
        steps = self._steps.get(device)
        if steps is not None and steps.doing is not None:
            return steps.doing
        if steps is not None and steps.sends:
            return "sending"
        if device == self._server:
            others = (other for name, other in self._steps.items() if name != device)
            if any(key[0] == SERVER_ID for other in others for key in other.sends):
                return "receiving"
        elif self.is_receiving(device, client_id):
            return "receiving"
        return "waiting" if steps is not None else None

    def forget(self, device: str, client_id: int | None) -> None:
        """Drop a lost participant: its own steps and the messages under way to it no longer count."""
        self._steps.pop(device, None)
        server = self._steps.get(self._server) if self._server is not None else None
        if server is not None:
            server.sends = {key: begun for key, begun in server.sends.items() if key[0] != client_id}


def _parse(text: str) -> dict[str, Any] | None:
    if len(text) > _LONGEST_LINE:
        return None
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(line, dict) or not isinstance(line.get("what"), str):
        return None
    moment, kind = line.get("t"), line.get("kind")
    numbers = {
        key: value if type(value) is int and abs(value) < 1 << 63 else -1
        for key in ("peer", "round")
        for value in (line.get(key),)
    }
    return {
        "what": line["what"],
        "t": float(moment) if isinstance(moment, int | float) and abs(moment) < 1 << 63 else 0.0,
        "kind": kind if isinstance(kind, str) else "",
        **numbers,
    }
