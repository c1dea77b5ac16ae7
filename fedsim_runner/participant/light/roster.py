"""Who takes part: clients that have joined, those that still owe an answer, and those that were given up."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fedsim_runner.contract.participant_events import ClientLost
from fedsim_runner.contract.records import LaunchSettings

from ..activity import Activity
from ..errors import ParticipantError
from ..lost import LostClients
from .logs import RunLog, logger


@dataclass
class _Member:
    """``owes``: kind and round of an answer that is awaited, or will come late."""

    host: str
    port: int
    owes: tuple[str, int] | None = None
    lost: bool = False


@dataclass
class Roster:
    """The clients of one course by their ids, and what becomes of the course when one is lost.

    ``gate``: the gate's folder, in which the agent tells of lost clients; None: nobody tells.
    """

    client_num: int
    policy: LaunchSettings
    gate: Path | None
    activity: Activity
    log: RunLog
    _members: dict[int, _Member] = field(default_factory=dict)
    _never_joined: set[str] = field(default_factory=set)  # devices that were lost before
    _reasons: dict[str, str] = field(default_factory=dict)  # of lost clients, by device

    def __post_init__(self) -> None:
        watched = self.goes_on and self.gate is not None
        self._lost = LostClients(self.gate) if watched and self.gate is not None else None

    @property
    def goes_on(self) -> bool:
        """Whether the course goes on without a lost client."""
        return self.policy.on_client_failure == "continue"

    @property
    def watches(self) -> bool:
        """Whether there may be news of lost clients."""
        return self._lost is not None

    @property
    def present(self) -> list[int]:
        """Ids of the clients that take part, in the order in which they joined."""
        return [client for client, member in self._members.items() if not member.lost]

    @property
    def idle(self) -> list[int]:
        """Those of them that owe no answer."""
        return [client for client in self.present if self._members[client].owes is None]

    @property
    def expected(self) -> int:
        """How many clients the course still has, joined or not."""
        return self.client_num - len(self._never_joined) - sum(member.lost for member in self._members.values())

    def admit(self, host: str, port: int) -> int | None:
        """A client's id by its address, a new one for a new address; None if it was given up, or nobody is missing."""
        for client, member in self._members.items():
            if (member.host, member.port) == (host, port):
                return None if member.lost else client
        if {host, f"{host}:{port}"} & self._never_joined or len(self.present) >= self.expected:
            return None
        client = len(self._members) + 1
        self._members[client] = _Member(host, port)
        return client

    def is_present(self, client: int) -> bool:
        """Whether a client has joined and was not given up."""
        return client in self._members and not self._members[client].lost

    def ask(self, client: int, kind: str, round: int) -> None:
        """The client owes an answer from now on."""
        self._members[client].owes = (kind, round)

    def settle(self, client: int, kind: str, round: int) -> bool:
        """Whether this is the answer that the client owes; it owes none then."""
        member = self._members.get(client)
        if member is None or member.lost or member.owes != (kind, round):
            return False
        member.owes = None
        return True

    def forgive(self, client: int) -> None:
        """The client was started again and has forgotten what it was asked."""
        self._members[client].owes = None

    def give_up(self, client: int, reason: str) -> None:
        """Go on without a client.

        Raises:
            ParticipantError: too few are left.
        """
        member = self._members[client]
        member.lost = True
        self.activity.note("lost", peer=client)
        self._say(f"Client #{client} ({member.host})", member.host, reason, client)

    def news(self) -> dict[int, str]:
        """Joined clients that the agent has given up since the last look, with the reasons.

        Raises:
            ParticipantError: too few are left, one being lost that had not joined yet.
        """
        found: dict[int, str] = {}
        for device, reason in (self._lost.news() if self._lost else {}).items():
            client = self._by_device(device)
            if client is not None:
                found[client] = reason
            else:
                self._never_joined.add(device)
                self._say(f"A client ({device})", device, reason)
        return found

    def _by_device(self, device: str) -> int | None:
        """In containers a client's host is its device's name; without them the agent names host and port."""
        for client, member in self._members.items():
            if device in (member.host, f"{member.host}:{member.port}"):
                return client
        return None

    def _say(self, who: str, device: str, reason: str, client: int | None = None) -> None:
        left, wanted = self.expected, max(1, self.policy.min_clients)
        reason = " ".join(reason.split())
        self._reasons[device] = reason
        logger.warning(f"Server: {who} is lost: {reason}; going on with {left} clients")
        if client is not None:
            self.log.report(ClientLost(client, reason))
        if left < wanted:
            lost = "; ".join(f"{name}: {why}" for name, why in self._reasons.items())
            raise ParticipantError(
                f"{left} of {self.client_num} clients are left, course.min_clients is {wanted}; lost: {lost}"
            )
