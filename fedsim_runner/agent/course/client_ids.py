"""Which device has which client id: as the server has given them out, or else as the clients say themselves."""

from __future__ import annotations

from collections.abc import Mapping

from fedsim_runner.contract import events as journal
from fedsim_runner.contract.events import Event

from .participants import Participant


class ClientIds:
    """The ids of one course."""

    def __init__(self, participants: Mapping[str, Participant]) -> None:
        self._participants = participants
        self._by_id: dict[int, str] = {}
        self._admitted: dict[int, str] = {}  # hosts, also those of clients on other lab hosts

    def admit(self, host: str, number: int) -> list[Event]:
        """The server has given an id to the client at this host, which in containers is a device's name."""
        self._admitted[number] = host
        participant = self._participants.get(host)
        if participant is None or participant.role == "server" or participant.state == "lost":
            return []
        self._by_id = {id: name for id, name in self._by_id.items() if name != host}
        self._by_id[number] = host
        return [] if participant.client_id == number else self._identify(host, participant, number)

    def claim(self, device: str, number: int) -> list[Event]:
        """A client says that it has this id.

        The server's word counts; without it (its lab host is another one) the client's own.
        """
        participant = self._participants[device]
        return [] if participant.client_id is not None else self._identify(device, participant, number)

    def give_up(self, number: int) -> None:
        """The server has given up the client of this id."""
        self._admitted.pop(number, None)

    def owner(self, number: int) -> str | None:
        """The device of this lab host that has this id; None: there is none."""
        return self._by_id.get(number)

    def names(self) -> dict[int, str]:
        """All clients that have an id, also those on other lab hosts, in the order of their ids."""
        return dict(sorted((self._admitted | self._by_id).items()))

    def _identify(self, device: str, participant: Participant, number: int) -> list[Event]:
        participant.client_id = number
        self._by_id.setdefault(number, device)
        return [journal.DeviceJoined(device, number)]
