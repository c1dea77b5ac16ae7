"""Whom the others wait for when a course does not go on, and how that is said."""

from __future__ import annotations

from collections.abc import Mapping

from .participants import Participant
from .waiting import Waiting


class Blame:
    """Blames participants of one course.

    Args:
        participants: by name.
        server: the server's name; None: it is on another lab host.
        waiting: knows who is waited for.
        silence_timeout_s: seconds in which a participant that works gives a sign of life.
    """

    def __init__(
        self, participants: Mapping[str, Participant], server: str | None, waiting: Waiting, silence_timeout_s: float
    ) -> None:
        self._participants = participants
        self._server = server
        self._waiting = waiting
        self._silence_timeout_s = silence_timeout_s
        self._refused: dict[str, str] = {}

    def note_refusal(self, device: str, reason: str) -> None:
        """Keep why the server did not take a client's message: both may wait for the answer in vain."""
        self._refused[device] = reason

    def find_waited_for(self) -> tuple[str | None, str]:
        """The participant that the others wait for, and a sentence that says so."""
        candidates, what = self._waiting.candidates()
        return self.among(candidates, what)

    def among(self, candidates: list[str], what: str) -> tuple[str | None, str]:
        """The first of these, and a sentence that says what is waited for and for whom."""
        if not candidates:
            return None, what
        first = candidates[0]
        if self._participants[first].frozen_since is not None:
            return first, f"{first} is frozen, and {what}"
        others = f" (and {len(candidates) - 1} more)" if len(candidates) > 1 else ""
        return first, f"{what}: waiting for {first}{others}"

    def explain(self, blamed: str | None) -> str:
        """What a participant that is blamed may have waited for in vain: a message that the server did not take."""
        refused = self._refused
        if blamed is None or blamed == self._server:
            blamed = next(reversed(refused), None)
        return f"; the server has refused a message of {blamed}: {refused[blamed]}" if blamed in refused else ""

    def is_excused(self, name: str, now: float) -> bool:
        """Whether a participant that is waited for is seen to work."""
        participant = self._participants[name]
        if participant.frozen_since is not None:
            return False
        return now - participant.last_heartbeat < self._silence_timeout_s

    def is_server_at_work(self, now: float) -> bool:
        """Whether the server is seen to work, so that it may be what the clients wait for."""
        return self._server is not None and self.is_excused(self._server, now)

    def is_frozen_too_long(self, participant: Participant, now: float) -> bool:
        """Whether a client has been frozen for the whole silence timeout."""
        frozen = participant.frozen_since
        return participant.role == "client" and frozen is not None and now - frozen >= self._silence_timeout_s
