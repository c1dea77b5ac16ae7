"""The interface of a link back end. Each folder next to this file is one: its ``backend.py`` has a ``Backend``."""

from __future__ import annotations

import contextlib
import time
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from fedsim_runner.contract.link import Link
from fedsim_runner.contract.time_scale import REAL_TIME, TimeScale

from .need import Need
from .profile import Profile
from .root_qdisc import Qdisc
from .tally import Passed, Tally

if TYPE_CHECKING:
    from .run_namespace import RunNamespace

Settings = Mapping[str, object]  # settings that shape one device's link: item -> value; str(value) is for people
Changes = Mapping[str, tuple[object, object]]  # item -> its value before, and the one that it is to have
Failures = dict[str, str]  # device -> reason


@dataclass(frozen=True)
class Changed:
    """What has become of a change.

    Attributes:
        found: what was then found of each device, also what is only for people.
        failed: failures by device.
        late_s: by how much it was late.
        look: looks at what there is now, which takes longer than the change, and returns the same with what it has
            found; None: that has been done.
    """

    found: Mapping[str, Settings]
    failed: Failures
    late_s: float = 0.0
    look: Callable[[], Changed] | None = None

    def looked_at(self) -> Changed:
        """It with what is found.

        Raises:
            OSError, CommandError: the run's namespace is gone.
        """
        return self if self.look is None else self.look()


#: Makes a change whose time has come, unless somebody else does; returns what has become of it.
Finish = Callable[[], Changed]
#: While it is entered, a change may be made, of what it gives: a later one has made the rest before (turns.py).
Turn = Callable[[], contextlib.AbstractContextManager[Mapping[str, Changes]]]


class LinkBackend(Protocol):
    """Shapes links. Devices come with their namespaces' paths. ``up`` and ``down`` are root qdiscs (veth.py)."""

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
        """Read those of its settings that veth.py does not read, the same ones for every device."""

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
                failed = self.apply({name: _wanted(change) for name, change in left.items()}, namespaces)
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


def _wanted(change: Changes) -> Settings:
    return {item: after for item, (_, after) in change.items()}


def with_made_later(
    found: Mapping[str, Settings], changes: Mapping[str, Changes], left: Mapping[str, Changes]
) -> dict[str, Settings]:
    """What was found after a change, and in place of what a later one had made before: as it was to be."""
    later = {
        name: {item: pair for item, pair in change.items() if item not in left.get(name, {})}
        for name, change in changes.items()
    }
    return {name: {**found.get(name, {}), **_wanted(change)} for name, change in later.items()}


def wait_until(due_s: float) -> None:
    """Sleep until this time of the monotonic clock."""
    time.sleep(max(0.0, due_s - time.monotonic()))
