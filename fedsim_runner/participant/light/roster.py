"""The clients of a course: which have joined, which still owe an answer, which are offline, and which were given up."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fedsim_runner.contract.participant_events import Admitted, ClientLost
from fedsim_runner.contract.records import LaunchSettings

from ..activity import Activity
from ..exit_errors import ParticipantError
from ..lost import LostClients
from ..senders import RefusedMessageError, check_source
from .run_log import RunLog, logger


@dataclass
class _Member:
    """``owes``: kind and round of an answer that is expected, possibly late; ``gave``: those of its last one."""

    host: str
    port: int
    owes: tuple[str, int] | None = None
    gave: tuple[str, int] | None = None
    lost: bool = False
    offline: bool = False


@dataclass
class Roster:
    """The clients of one course by their ids, and the policy for lost ones.

    ``gate``: the gate's folder, in which the agent names lost clients; None: there is no agent.
    """

    client_num: int
    policy: LaunchSettings
    gate: Path | None
    activity: Activity
    log: RunLog
    _members: dict[int, _Member] = field(default_factory=dict)
    _never_joined: set[str] = field(default_factory=set)  # devices that were lost before they joined
    _reasons: dict[str, str] = field(default_factory=dict)  # of lost clients, by device

    def __post_init__(self) -> None:
        watched = self.tolerates_losses and self.gate is not None
        self._lost = LostClients(self.gate) if watched and self.gate is not None else None

    @property
    def tolerates_losses(self) -> bool:
        """Whether the course continues without a lost client."""
        return self.policy.on_client_failure == "continue"

    @property
    def watches_for_losses(self) -> bool:
        """Whether the agent may name lost clients."""
        return self._lost is not None

    @property
    def present(self) -> list[int]:
        """Ids of the clients that take part, in the order in which they joined."""
        return [client for client, member in self._members.items() if not member.lost]

    @property
    def online(self) -> list[int]:
        """Ids of the clients that take part and can be reached."""
        return [client for client in self.present if not self._members[client].offline]

    @property
    def idle(self) -> list[int]:
        """Ids of the clients that can be reached and owe no answer."""
        return [client for client in self.online if self._members[client].owes is None]

    @property
    def expected(self) -> int:
        """How many clients the course still has, joined or not."""
        return self.client_num - len(self._never_joined) - sum(member.lost for member in self._members.values())

    def admit(self, host: str, port: int) -> int | None:
        """A client's id by its address, a new one for a new address; None if it was given up or the course is full."""
        for client, member in self._members.items():
            if (member.host, member.port) == (host, port):
                return None if member.lost else client
        if {host, f"{host}:{port}"} & self._never_joined or len(self.present) >= self.expected:
            return None
        client = len(self._members) + 1
        self._members[client] = _Member(host, port)
        self.log.report(Admitted(client, host))
        return client

    def name(self, client: int) -> str:
        """The client with its host, for messages to people."""
        return f"client #{client} ({self._members[client].host})"

    def check_sender(self, client: int, source: str) -> None:
        """Check that a message of this client comes from where it has joined from. Safe to call from any thread.

        Raises:
            RefusedMessageError: it does not, or there is no such client.
        """
        member = self._members.get(client)
        if member is None:
            raise RefusedMessageError(f"it speaks for client #{client}, which has not joined")
        check_source(f"client #{client}", member.host, source)

    def expects(self, client: int, kind: str, round: int) -> bool:
        """Whether the client owes this answer. Safe to call from any thread."""
        member = self._members.get(client)
        return member is not None and not member.lost and member.owes == (kind, round)

    def is_present(self, client: int) -> bool:
        """Whether a client has joined and was not given up."""
        return client in self._members and not self._members[client].lost

    def is_online(self, client: int) -> bool:
        """Whether a client takes part and can be reached."""
        return self.is_present(client) and not self._members[client].offline

    def set_offline(self, client: int, offline: bool) -> bool:
        """Note whether a client is offline, and return whether that is news."""
        member = self._members[client]
        if member.offline == offline:
            return False
        member.offline = offline
        logger.info(f"Server: {self.name(client)} is {'offline' if offline else 'online again'}")
        return True

    def ask(self, client: int, kind: str, round: int) -> None:
        """Note that the client owes an answer from now on."""
        self._members[client].owes = (kind, round)

    def settle(self, client: int, kind: str, round: int) -> bool:
        """Return whether this is the answer that the client owes; if so, it owes none any more."""
        expected = self.expects(client, kind, round)
        if expected:
            member = self._members[client]
            member.owes, member.gave = None, member.owes
        return expected

    def repeats(self, client: int, kind: str, round: int) -> bool:
        """Whether the client's last answer was this one, too. Safe to call from any thread."""
        return self._members[client].gave == (kind, round)

    def forgive(self, client: int) -> None:
        """Cancel what the client owes: it was restarted and has lost the request."""
        self._members[client].owes = None

    def give_up(self, client: int, reason: str) -> None:
        """Continue without a client.

        Raises:
            ParticipantError: too few are left.
        """
        member = self._members[client]
        member.lost = True
        self.activity.note("lost", peer=client)
        self._report_loss(f"Client #{client} ({member.host})", member.host, reason, client)

    def new_losses(self) -> dict[int, str]:
        """Joined clients that the agent has given up since the last call, with the reasons.

        Raises:
            ParticipantError: a client was lost before it joined, and too few are left.
        """
        found: dict[int, str] = {}
        for device, reason in (self._lost.new_losses() if self._lost else {}).items():
            client = self._client_of(device)
            if client is not None:
                found[client] = reason
            else:
                self._never_joined.add(device)
                self._report_loss(f"A client ({device})", device, reason)
        return found

    def _client_of(self, device: str) -> int | None:
        """In containers a client's host is its device's name; without them the agent names host and port."""
        for client, member in self._members.items():
            if device in (member.host, f"{member.host}:{member.port}"):
                return client
        return None

    def _report_loss(self, who: str, device: str, reason: str, client: int | None = None) -> None:
        left, needed = self.expected, max(1, self.policy.min_clients)
        reason = " ".join(reason.split())
        self._reasons[device] = reason
        logger.warning(f"Server: {who} is lost: {reason}; going on with {left} clients")
        if client is not None:
            self.log.report(ClientLost(client, reason))
        if left < needed:
            lost = "; ".join(f"{name}: {why}" for name, why in self._reasons.items())
            raise ParticipantError(
                f"{left} of {self.client_num} clients are left, course.min_clients is {needed}; lost: {lost}"
            )
