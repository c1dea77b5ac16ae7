"""What a link back end offers. Each folder beside this file is one: its ``backend.py`` has a class ``Backend``."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Protocol

from fedsim_runner.contract.link import Link

from .need import Need
from .profile import Profile
from .root_qdisc import Qdisc

Settings = Mapping[str, object]  # what holds one device's link: item -> value; str(value) is for people
Failures = dict[str, str]  # device -> reason


class LinkBackend(Protocol):
    """Devices are given as their network namespaces' paths by name. ``up`` and ``down`` are root qdiscs (veth.py)."""

    name: ClassVar[str]  # its folder, and `network.backend` of an experiment
    preference: ClassVar[int]  # `auto` tries the lowest first
    qdiscs: ClassVar[tuple[type[Qdisc], ...]]  # kinds of root qdiscs that it sets

    def __init__(self, probed: Mapping[str, Any]) -> None: ...
    @staticmethod
    @abstractmethod
    def needs(links: Iterable[Link]) -> list[Need]:
        """What these links need."""

    @abstractmethod
    def plan(self, profile: Profile) -> dict[str, Settings]:
        """What holds each device's link. Pure."""

    @abstractmethod
    def read(self, namespaces: Mapping[str, str]) -> tuple[dict[str, Settings], Failures]:
        """Those of its settings that veth.py does not read, the same for every device."""

    @abstractmethod
    def apply(self, changes: Mapping[str, Settings], namespaces: Mapping[str, str]) -> Failures:
        """Set those of the read settings that differ."""

    def forget(self, device: str) -> None:
        """The device's container has ended, and its namespace with it."""

    def failure(self) -> str | None:
        """Why no traffic passes any more."""
        return None

    def counters(self) -> dict[str, Any]:
        """Counters of what runs outside the kernel."""
        return {}

    def stop(self) -> None:
        """The agent ends."""
