"""Which participant a course waits for when nothing moves. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .activities import Activities
from .participants import Participant
from .progress import Progress

SHOWN = 3  # devices in one phrase


class Waiting:
    """Finds the participants that a course waits for."""

    def __init__(
        self, participants: Mapping[str, Participant], server: str | None, progress: Progress, activities: Activities
    ) -> None:
        self._participants = participants
        self._server = server
        self._progress = progress
        self._activities = activities

    def candidates(self) -> tuple[list[str], str]:
        """The participants that the others wait for, likeliest first, and a phrase that says what for."""
        server = [self._server] if self._server is not None else []
        participants, progress = self._participants, self._progress
        clients = self._clients()
        if server and participants[server[0]].state == "starting":
            return server, "the server is not listening yet"
        if (nobody := self.nobody) is not None:
            return [], nobody
        if progress.server_done:  # also if the server is on another lab host
            unfinished = [name for name in clients if not participants[name].done and not participants[name].missed_end]
            if server:
                return unfinished, "the course is over but a client has not received the finish message"
            return unfinished, "clients have not finished"
        if server and participants[server[0]].frozen_since is not None:
            return server, "nothing goes on without the server"
        if progress.round < 0 and not progress.training_finished:
            for state, what in (("starting", "a client is not listening yet"), ("ready", "a client has not joined")):
                late = [name for name in clients if participants[name].state == state]
                if late:
                    return late, what
            return server, "all clients have joined but training has not started"
        if progress.evaluating is not None:
            return self._evaluation(clients, server, progress.evaluating)
        missing = [name for name in clients if participants[name].trained < progress.round]
        if missing and not self._has_nothing_to_do(missing):
            return missing, f"no training results in round {progress.round + 1}"
        if missing:
            return server, f"no client has anything to do in round {progress.round + 1}, and the server does not go on"
        frozen = [name for name in clients if participants[name].frozen_since is not None]
        return (frozen or server), f"all clients have trained in round {progress.round + 1} but it does not end"

    @property
    def nobody(self) -> str | None:
        """Why nothing can go on before a device is online again; None: it can."""
        here = [name for name, one in self._participants.items() if one.state != "lost" and not one.done]
        if self._server in here and self._participants[self._server].offline:
            return "the server is offline"
        clients = [name for name in here if name != self._server]
        if not clients or not all(self._participants[name].offline for name in clients):
            return None
        more = f" and {len(clients) - SHOWN} more" if len(clients) > SHOWN else ""
        return f"no client is online: {', '.join(clients[:SHOWN])}{more} {'are' if len(clients) > 1 else 'is'} offline"

    def _evaluation(self, clients: list[str], server: list[str], number: int) -> tuple[list[str], str]:
        participants = self._participants
        missing = [name for name in clients if participants[name].tested < number - 1]
        frozen = any(participants[name].frozen_since is not None for name in missing)
        # If only the server evaluates, no client ever reports a test.
        clients_evaluate = frozen or any(participants[name].tested >= 0 or self._owes(name) for name in clients)
        if missing and clients_evaluate and not self._has_nothing_to_do(missing):
            return missing, f"no evaluation results of round {number}"
        return server, f"the evaluation of round {number} does not end"

    def _clients(self) -> list[str]:
        """The clients that are in the course and online, likeliest to blame first.

        Frozen clients come before all others, then those with an unanswered request or a message under way to them,
        if their activity is known. Ties go by join order: FederatedScope's own broadcast sends to one client after
        another, and a client that blocks its connection keeps the model from those after it.
        """

        def rank(name: str) -> tuple[bool, bool, int, str]:
            participant = self._participants[name]
            return participant.frozen_since is None, not self._is_busy(name), participant.client_id or 0, name

        return sorted((n for n, p in self._participants.items() if p.role == "client" and self._is_here(p)), key=rank)

    def _is_here(self, participant: Participant) -> bool:
        return participant.state != "lost" and not participant.offline

    def _is_busy(self, name: str) -> bool:
        return self._owes(name) or self._activities.is_receiving(name, self._participants[name].client_id)

    def _owes(self, name: str) -> bool:
        return self._activities.owes(name, self._participants[name].client_id)

    def _has_nothing_to_do(self, names: Iterable[str]) -> bool:
        """Whether the server is known to expect nothing from these clients, so that the server itself is stuck."""
        if self._server is None or not self._activities.has_lines(self._server):
            return False
        return all(
            self._activities.has_lines(name)
            and not self._is_busy(name)
            and self._participants[name].frozen_since is None
            for name in names
        )
