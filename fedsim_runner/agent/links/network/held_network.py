"""The network of a run as its container holds it now."""

from __future__ import annotations

from ...host.network_container import Namespace, NetworkContainer
from ..link_errors import NoNetworkError
from .run_namespace import RunNamespace


class HeldNetwork:
    """The namespace in which devices are connected, and whether it is still there.

    Args:
        container: holds the run's network.

    Attributes:
        namespace: for whoever connects devices there.
    """

    def __init__(self, container: NetworkContainer) -> None:
        self._container = container
        self._connected_to: Namespace | None = None
        self.namespace = RunNamespace()

    @property
    def failure(self) -> str | None:
        """Why it is no longer there; None while it is."""
        return self._container.failure()

    def use(self, check: bool) -> bool:
        """Use the namespace as it was last found; return whether it is another one than before, with no device in it.

        Args:
            check: nothing is connected to it.

        Raises:
            NoNetworkError: there is none.
        """
        found = self._container.namespace if self._container.failure() is None else None
        if found is None and not check:
            raise NoNetworkError(
                f"container {self._container.name}, which holds the run's network, is not running",
                hint="the network stage starts it (`up` again)",
            )
        # Check mode goes on without it: all devices are still to be connected.
        self.namespace.path = None if found is None else found.path
        if check or found == self._connected_to:
            return False
        self._connected_to = found
        return True
