"""Where the agent can change interfaces in place: namespaces of devices and that of the run, ready before it is due."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fedsim_runner.contract.link import INTERFACE

from ..host.network_container import namespace_number
from ..kernel import netlink, netns, rtnetlink
from .changing_process import ChangingProcess
from .due_requests import Part
from .requests import RUN, Outcome


@dataclass(frozen=True)
class Place:
    """A namespace in which links are changed.

    Attributes:
        number: identifies it.
        channel: by which the agent reads there; the process has its own.
        index: of the device's interface; None: it is the run's namespace.
    """

    number: tuple[int, int]
    channel: socket.socket
    index: int | None


class Changer:
    """The process that changes links, which begins with the first of them, and what the agent itself needs for that.

    Its owner calls one method at a time, but for :meth:`see`.
    """

    def __init__(self) -> None:
        self._process: ChangingProcess | None = None
        self._places: dict[str, Place] = {}
        self._ports: dict[str, int] = {}  # numbers of interfaces in the run's namespace
        self._numbers = itertools.count(1)

    def follow(self, namespaces: Mapping[str, str]) -> dict[str, str]:
        """Be ready to change the interfaces of devices in these namespaces; return reasons where that is not possible.

        Args:
            namespaces: path of each device's; :data:`~.requests.RUN` is the run's.
        """
        if self._process is not None and self._process.has_ended:
            self._give_up()
        failed: dict[str, str] = {}
        opened: dict[str, str] = {}
        for name, path in namespaces.items():
            number, known = namespace_number(path), self._places.get(name)
            if number is None:
                failed[name] = f"its namespace {path} is gone"
            elif known is None or known.number != number:
                try:
                    self._open(name, path, number)
                except OSError as error:
                    failed[name] = str(error)
                else:
                    opened[name] = path
        if opened:
            try:
                failed |= self._running().open(opened)
            except OSError as error:
                failed |= dict.fromkeys(opened, str(error))
                self._give_up()
        for name in failed:
            self._close(name)
        return failed

    def lacks(self, names: Iterable[str]) -> list[str]:
        """Which of these are not followed."""
        return [name for name in names if name not in self._places]

    def place(self, name: str) -> Place:
        """That of a device which is followed."""
        return self._places[name]

    def index_of(self, interface: str) -> int | None:
        """The number of an interface of the run's namespace, which is followed; None: there is none."""
        if interface not in self._ports:
            self._ports = rtnetlink.indexes(self._places[RUN].channel)
        return self._ports.get(interface)

    def begin(self, at_s: float, parts: Sequence[Part]) -> int:
        """Have these requests made at a time of the monotonic clock; return the change's number.

        Raises:
            OSError: the process has ended.
        """
        number = next(self._numbers)
        try:
            self._running().change(number, at_s, parts)
        except OSError:
            self._give_up()
            raise
        return number

    def see(self, number: int) -> Outcome:
        """Wait for what has become of a change.

        Raises:
            OSError: the process has ended, and nobody knows.
        """
        if self._process is None:
            raise OSError("the process that changes links has ended")
        return self._process.see(number)

    def forget(self, device: str) -> None:
        """Let its namespace go."""
        if device in self._places:
            self._close(device)
            if self._process is not None:
                try:
                    self._process.close(device)
                except OSError:
                    self._give_up()

    def stop(self) -> None:
        """End the process, and let all namespaces go."""
        self._give_up()

    def _running(self) -> ChangingProcess:
        if self._process is None:
            self._process = ChangingProcess()
        return self._process

    def _open(self, name: str, path: str, number: tuple[int, int]) -> None:
        self._close(name)
        with netns.inside(path):
            channel = netlink.open_channel()
        try:
            index = None if name == RUN else rtnetlink.find_index(INTERFACE, channel)
        except OSError:
            channel.close()
            raise
        self._places[name] = Place(number, channel, index)

    def _close(self, name: str) -> None:
        self._ports = {}  # there may be another interface of the same name
        place = self._places.pop(name, None)
        if place is not None:
            place.channel.close()

    def _give_up(self) -> None:
        """Without the process, or with one that has ended; the next one has to open all namespaces anew."""
        for name in list(self._places):
            self._close(name)
        process, self._process = self._process, None
        if process is not None:
            process.stop()
