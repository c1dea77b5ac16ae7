"""What a participant is doing: one JSON line for each step of a message or of the training.

``activity.jsonl`` lies next to FederatedScope's logs. The agent follows it for the live view, and the report uses it to
split every round into transfer, compute and waiting. Keys of a line: ``t`` (unix seconds), ``what`` (one of
:data:`STEPS`), and where they apply ``kind`` (FederatedScope's message type), ``round`` (its number, from 0), ``peer``
(the other side's FederatedScope id, 0 for the server), ``bytes`` (of the encoded message), ``staleness`` (of an
update: rounds that were aggregated since its model was sent) and ``cpu`` (at the end of a step of work: processor
seconds that this process has used since the step began).
"""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Literal, get_args

from ..contract.work_steps import BEGIN_OF

ACTIVITY = "activity.jsonl"

Step = Literal["send", "sent", "send_failed", "received", "train", "trained", "evaluate", "evaluated", "aggregate",
               "aggregated", "lost", "late", "used", "unused"]  # fmt: skip
# send/sent, train/trained, evaluate/evaluated, aggregate/aggregated: start and end. received: a message is complete.
# lost: the server gave up the client `peer`. late: an update that came after the end of its round was dropped.
# used: the update of `peer` for the model of `round` was aggregated. unused: it arrived, and no aggregation takes it.
STEPS: tuple[str, ...] = get_args(Step)


class Activity:
    """Appends lines. Safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        """Open ``activity.jsonl`` in ``folder``, which exists.

        Raises:
            OSError: it cannot be written.
        """
        self._lock = threading.Lock()
        self._used: dict[str, float] = {}  # processor seconds at the beginning of each kind of work
        self._stream = (folder / ACTIVITY).open("a", buffering=1, encoding="utf-8")

    def note(
        self,
        what: Step,
        *,
        kind: str | None = None,
        round: int | None = None,
        peer: int | None = None,
        size: int | None = None,
        staleness: int | None = None,
    ) -> None:
        """Write one line with the current time.

        Raises:
            OSError: the disk is full or the folder is gone; nothing that follows could be trusted.
        """
        line: dict[str, object] = {"t": float(f"{time.time():.4f}"), "what": what}
        given = (("kind", kind), ("round", round), ("peer", peer), ("bytes", size), ("staleness", staleness))
        for key, value in given:
            if value is not None:
                line[key] = value
        used = time.process_time()
        with self._lock:
            if (before := self._used.pop(BEGIN_OF.get(what, ""), None)) is not None:
                line["cpu"] = float(f"{used - before:.4f}")
            if what in BEGIN_OF.values():
                self._used[what] = used
            self._stream.write(json.dumps(line) + "\n")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._stream.close()
