"""Which devices have their links in force, and in which namespaces."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from ...host.network_container import namespace_number
from ...kernel import netns
from ...kernel.held_namespaces import HeldNamespaces


class ShapedDevices:
    """The devices with a link in force. Its owner holds a lock.

    Attributes:
        names: those whose links are in force.
    """

    def __init__(self) -> None:
        self.names: set[str] = set()
        self._namespaces: dict[str, tuple[str, tuple[int, int] | None]] = {}  # path and number
        self._held = HeldNamespaces()

    def add(self, name: str, namespace: str, passes_on: bool) -> None:
        """Remember that a device's link is in force in this namespace.

        Args:
            passes_on: others' packets pass through devices, so the namespace is kept after their ends.
        """
        self.names.add(name)
        self._namespaces[name] = namespace, namespace_number(namespace)
        if passes_on:
            with contextlib.suppress(OSError):  # it has ended meanwhile
                self._held.hold(name, namespace)

    def end(self, name: str) -> None:
        """Forget the namespace of a device whose process has ended; a later one is to have a link again."""
        self._namespaces.pop(name, None)

    def release_all(self) -> None:
        """Let go of all namespaces."""
        self._held.release_all()

    def running(self, running: Mapping[str, int]) -> dict[str, str]:
        """The namespaces of those running devices whose links are in force.

        Args:
            running: process ids of the running devices.
        """
        return {name: netns.of_process(pid) for name, pid in running.items() if name in self.names}

    def where_they_were(self) -> dict[str, str]:
        """The namespaces in which links were brought into force, of devices whose ends have not been reported."""
        return {name: path for name, (path, _) in self._namespaces.items()}

    def is_where_it_was(self, name: str, namespace: str) -> bool:
        """Whether the device's process is still the one whose link is in force.

        Else its container has ended, which Docker will report. By then another process may have its id: the kernel uses
        each of 32768 again, and hundreds of devices that end together need thousands.
        """
        number = namespace_number(namespace)
        return number is not None and (namespace, number) == self._namespaces.get(name)
