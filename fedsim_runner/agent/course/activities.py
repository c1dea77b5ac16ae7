"""What each participant is doing, from the lines of its ``activity.jsonl``. Pure: text in, states out.

A line marks the start or the end of a step (see ``participant/activity.py``). A client is receiving while the server
has started to send to it and the message has not arrived. Who owes an answer says the server, where it writes lines: a
client that claims to have answered does not put the blame on it. Each participant reports everything else itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

Message = tuple[str, int]  # kind and round

_BEGINS = {"train": "training", "evaluate": "evaluating", "aggregate": "aggregating"}
_ENDS = {"trained": "training", "evaluated": "evaluating", "aggregated": "aggregating"}
# Messages a client has to answer, with the kind of its answer.
_ANSWERS = {"model_para": "model_para", "evaluate": "metrics"}
# A send that starts or fails is no progress: a participant that keeps retrying writes these lines forever.
_NOT_PROGRESS = frozenset({"send", "send_failed", "lost", "late", "unused"})
SERVER_ID = 0
_GOODBYE = "finish"
_MOST_SENDS = 10_000  # sends of one participant under way: more make no sense
_LONGEST_LINE = 1000  # nor does a longer line, whose strings would be kept


@dataclass
class _Steps:
    doing: str | None = None
    round: int | None = None
    owes: bool = False
    sends: dict[int, dict[Message, float]] = field(default_factory=dict)  # by peer: what is under way to it
    received: dict[Message, float] = field(default_factory=dict)

    def begin(self, peer: int, message: Message, moment: float) -> None:
        if sum(map(len, self.sends.values())) < _MOST_SENDS:
            self.sends.setdefault(peer, {})[message] = moment

    def end(self, peer: int, message: Message) -> None:
        under_way = self.sends.get(peer)
        if under_way is not None:
            under_way.pop(message, None)
            if not under_way:
                del self.sends[peer]


class Activities:
    """Follows the participants of one course by their names."""

    def __init__(self, names: Collection[str], server: str | None) -> None:
        self._steps: dict[str, _Steps] = {}
        self._names = frozenset(names)
        self._server = server
        self._owed: dict[int, set[str]] = {}  # by client id, kinds of answers, as the server has it
        self._dismissed: set[int] = set()  # clients' ids that the server has begun to tell that the course is over
        self._has_asked = False

    def feed(self, device: str, text: str) -> bool:
        """Take one line and return whether it shows progress. Anything but an activity line is ignored."""
        line = _parse(text)
        if line is None or device not in self._names:
            return False
        what, moment, kind, number, peer = line
        steps = self._steps.setdefault(device, _Steps())
        if what in _BEGINS:
            steps.doing, steps.round = _BEGINS[what], number
        elif what in _ENDS:
            if steps.doing == _ENDS[what]:
                steps.doing = None
        elif what == "send":
            steps.begin(peer, (kind, number), moment)
            if device == self._server and kind in _ANSWERS:
                # Not once it is sent: the answer may be there before that is written.
                self._owed.setdefault(peer, set()).add(_ANSWERS[kind])
                self._has_asked = True
            elif device == self._server and kind == _GOODBYE:
                self._dismissed.add(peer)
        elif what in ("sent", "send_failed"):
            steps.end(peer, (kind, number))
            if what == "sent" and kind in _ANSWERS.values() and peer == SERVER_ID:
                steps.owes = False
        elif what == "received" and device != self._server:
            steps.received[kind, number] = moment
            while len(steps.received) > 8:  # only the last ones may cross with the server's lines
                del steps.received[next(iter(steps.received))]
            steps.owes = steps.owes or kind in _ANSWERS
        elif what == "received":
            self._owed.get(peer, set()).discard(kind)
        return what not in _NOT_PROGRESS

    def has_lines(self, device: str) -> bool:
        """Whether it has written any line."""
        return device in self._steps

    def round(self, device: str) -> int | None:
        """The round of its last step of work, as FederatedScope counts."""
        steps = self._steps.get(device)
        return steps.round if steps is not None else None

    def owes(self, device: str, client_id: int | None) -> bool:
        """Whether a client has a request that it has not answered."""
        if client_id is not None and self._server in self._steps:
            return bool(self._owed.get(client_id))
        steps = self._steps.get(device)
        return steps is not None and steps.owes

    def is_left_alone(self, client_id: int) -> bool:
        """Whether the server, which tells what it sends, has not (yet) begun to tell this client that all is over."""
        return self._has_asked and client_id not in self._dismissed

    def is_receiving(self, device: str, client_id: int | None) -> bool:
        """Whether the server has started to send to this client and the message has not arrived."""
        server = self._steps.get(self._server) if self._server is not None else None
        if server is None or client_id is None:
            return False
        under_way = server.sends.get(client_id)
        if not under_way:
            return False
        steps = self._steps.get(device)
        received = steps.received if steps is not None else {}
        return any(received.get(message, -1.0) < begun for message, begun in under_way.items())

    def state(self, device: str, client_id: int | None) -> str | None:
        """training, evaluating, aggregating, sending, receiving or waiting; None if it has written no line."""
        steps = self._steps.get(device)
        if steps is not None and steps.doing is not None:
            return steps.doing
        if steps is not None and steps.sends:
            return "sending"
        if device == self._server:
            others = (other for name, other in self._steps.items() if name != device)
            if any(SERVER_ID in other.sends for other in others):
                return "receiving"
        elif self.is_receiving(device, client_id):
            return "receiving"
        return "waiting" if steps is not None else None

    def forget(self, device: str, client_id: int | None) -> None:
        """Drop a lost participant: its own steps and the messages under way to it no longer count."""
        self._steps.pop(device, None)
        server = self._steps.get(self._server) if self._server is not None else None
        if client_id is not None:
            self._owed.pop(client_id, None)
            if server is not None:
                server.sends.pop(client_id, None)


Line = tuple[str, float, str, int, int]  # what, t, kind, round, peer; "" and -1 where it has none

# A line as participant/activity.py writes it, which needs no JSON parser: a busy course has hundreds a second.
_USUAL = re.compile(
    r'\{"t": ([0-9]{1,12}(?:\.[0-9]{1,9})?), "what": "([a-z_]{1,20})"(?:, "kind": "(\w{1,40})")?'
    r'(?:, "round": ([0-9]{1,12}))?(?:, "peer": ([0-9]{1,12}))?(?:, "bytes": [0-9]{1,12})?'
    r'(?:, "staleness": [0-9]{1,12})?(?:, "cpu": [0-9]{1,12}(?:\.[0-9]{1,9})?)?\}',
    re.ASCII,
)


def _parse(text: str) -> Line | None:
    usual = _USUAL.fullmatch(text)
    if usual is None:
        return _parse_json(text)
    moment, what, kind, number, peer = usual.groups()
    return what, float(moment), kind or "", int(number or -1), int(peer or -1)


def _parse_json(text: str) -> Line | None:
    if len(text) > _LONGEST_LINE:
        return None
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(line, dict) or not isinstance(line.get("what"), str):
        return None
    moment, kind = line.get("t"), line.get("kind")
    return (
        line["what"],
        float(moment) if isinstance(moment, int | float) and abs(moment) < 1 << 63 else 0.0,
        kind if isinstance(kind, str) else "",
        _whole(line.get("round")),
        _whole(line.get("peer")),
    )


def _whole(value: Any) -> int:
    return value if type(value) is int and abs(value) < 1 << 63 else -1
