"""What each participant is doing, from the lines of its ``activity.jsonl``. Pure: text in, states out.

A line tells the begin or the end of a step (see ``participant/activity.py``). A client receives while the server has
begun to send to it and the message is not there yet; everything else a participant knows of itself.
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
# The begin of sending and its failure say nothing of progress: who tries again and again writes them for ever.
_NOT_PROGRESS = frozenset({"send", "send_failed", "lost", "late"})
SERVER_ID = 0
_MOST_SENDS = 10_000  # of one participant under way: more is nonsense
_LONGEST_LINE = 1000  # so is a longer line: its words would be kept, too


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
        """One line; whether it tells of progress. Whatever is no line of an activity file is ignored."""
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
        """FederatedScope's number of the round of its last step of work."""
        steps = self._steps.get(device)
        return steps.round if steps is not None else None

    def owes(self, device: str) -> bool:
        """Whether a client has a request that it has not answered."""
        steps = self._steps.get(device)
        return steps is not None and steps.owes

    def incoming(self, device: str, client_id: int | None) -> bool:
        """Whether the server has begun to send to this client and the message is not there yet."""
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
        elif self.incoming(device, client_id):
            return "receiving"
        return "waiting" if steps is not None else None

    def forget(self, device: str, client_id: int | None) -> None:
        """It is lost: what it has begun, and what was begun to be sent to it, does not count any more."""
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
