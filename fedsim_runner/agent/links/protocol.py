"""The interface of a link back end. Each folder with a ``backend.py`` is one: that has a ``Backend``."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from fedsim_runner.contract.link import Link
from fedsim_runner.contract.time_scale import REAL_TIME, TimeScale

from ..kernel.root_qdisc import Qdisc
from .changes import Changed, Changes, Failures, Finish, Settings, Turn, wanted, with_made_later
from .need import Need
from .network.run_namespace import RunNamespace
from .profile import Profile
from .tally import Passed, Tally


class LinkBackend(Protocol):
    """Shapes links. Devices come with their namespaces' paths. ``up`` and ``down`` are root qdiscs of veth pairs."""

    name: ClassVar[str]  # its folder, and the value of an experiment's `network.backend`
    preference: ClassVar[int]  # `auto` tries the lowest first
    qdiscs: ClassVar[tuple[type[Qdisc], ...]]  # kinds of root qdiscs that it sets
    separates_sites: ClassVar[bool] = False  # it needs a bridge for each site of a topology
    packets_per_s: ClassVar[int | None] = None  # more than these are late; None: the kernel's own limit
    reschedules: ClassVar[bool] = False  # what waits when a rate changes leaves at the new one
    keeps_apart: ClassVar[bool] = False  # it drops what passes between partitions, and of devices that are offline
    knows_senders: ClassVar[bool] = False  # it takes `Profile.ways_us` off the delay of what arrives from elsewhere

    def __init__(self, probed: Mapping[str, Any]) -> None: ...
    @staticmethod
    @abstractmethod
    def needs(links: Iterable[Link]) -> list[Need]:
        """The pieces of the kernel that these links need."""

    @staticmethod
    def lacks(links: Iterable[Link], changing: Iterable[Collection[Link]] = ()) -> Iterator[str]:
        """What it does not do of these links, whatever the kernel has: as a refusal goes on. Pure.

        Args:
            links: all those of a lab host.
            changing: of each direction that changes while packets pass, all links that it is.
        """
        return iter(())

    @staticmethod
    def approximates(links: Sequence[Link], scale: TimeScale = REAL_TIME) -> Iterator[str]:
        """What it holds only roughly of these links, all those of one lab host: as a plan's note goes on. Pure.

        Args:
            links: in wall time, as it puts them into force.
            scale: of the note's values, which are the devices'.
        """
        return iter(())

    @abstractmethod
    def plan(self, profile: Profile) -> dict[str, Settings]:
        """The settings that shape each device's link. Pure."""

    def plan_changed(self, profile: Profile, devices: Collection[str]) -> Mapping[str, Settings]:
        """The settings of devices whose links alone are others than those of the last plan, before others change. Pure.

        A trace of hundreds of devices has this called fifty times a second: a back end whose settings of a device do
        not depend on the links of others may leave all others out, and what links do not change.

        Args:
            profile: with the same devices, and the same of all but links.
            devices: their names.
        """
        return self.plan(profile)

    @abstractmethod
    def read(self, namespaces: Mapping[str, str]) -> tuple[dict[str, Settings], Failures]:
        """Read those of its settings that network/veth.py does not read, the same ones for every device."""

    @abstractmethod
    def apply(self, changes: Mapping[str, Settings], namespaces: Mapping[str, str]) -> Failures:
        """Set those of the settings from ``read`` that differ."""

    def change(self, changes: Mapping[str, Changes], namespaces: Mapping[str, str], due_s: float, turn: Turn) -> Finish:
        """Prepare to change settings that are in force, while packets pass: in place, and without a program.

        Args:
            changes: of each device.
            namespaces: their paths.
            due_s: when it is to take place, on the monotonic clock; what is returned is called then.
            turn: to be taken by what is returned.
        """

        def finish() -> Changed:
            with turn() as left:
                failed = self.apply({name: wanted(change) for name, change in left.items()}, namespaces)
                late_s = time.monotonic() - due_s
                found, unread = self.read({name: namespaces[name] for name in left})
            return Changed(with_made_later(found, changes, left), {**failed, **unread}, late_s)

        return finish

    def use_network(self, network: RunNamespace) -> None:
        """Take the run's namespace, where downlinks are, for what it does there besides the qdiscs."""

    def trace(self) -> object:
        """What differs once somebody has changed its settings in the calling thread's namespace, where a device is.

        It is compared every few seconds, so it is to be read without a program. None: nobody else can change them.
        """
        return None

    def forget(self, device: str) -> None:
        """Release the device: its container has ended, and its namespace with it."""

    def failure(self) -> str | None:
        """Why traffic no longer passes; None while it does."""
        return None

    def count(self, namespaces: Mapping[str, str], afresh: bool) -> dict[tuple[str, str], Tally]:
        """What has passed each shaped direction, by device and ``up`` or ``down``; called every few seconds.

        Args:
            namespaces: path of each device's network namespace. Those that have ended keep what they had.
            afresh: count from now on.

        Raises:
            OSError: nothing passes any longer.
        """
        return {}

    def look(self, namespaces: Mapping[str, str]) -> dict[tuple[str, str], Passed]:
        """The counters and the queue of each shaped direction, as :meth:`count`; called every second, so it is cheap.

        Those that have not changed since the last look may be left out, and those whose namespaces have ended.

        Args:
            namespaces: path of each device's network namespace.

        Raises:
            OSError: nothing passes any longer.
        """
        return {}

    def counters(self) -> dict[str, Any]:
        """Counters of the parts that run outside the kernel."""
        return {}

    def stop(self) -> None:
        """Stop: the agent ends."""
