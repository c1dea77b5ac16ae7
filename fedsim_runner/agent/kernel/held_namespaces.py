"""Network namespaces that are kept although no process is in them."""

from __future__ import annotations

import os


class HeldNamespaces:
    """Holds one namespace of each device, or of each end that measures.

    As long as it does, what a device passes on goes on passing after its process has ended.
    """

    def __init__(self) -> None:
        self._descriptors: dict[str, int] = {}

    def hold(self, device: str, path: str) -> str:
        """Hold this namespace of a device, and no longer the one before. Return the path at which it then is.

        Raises:
            OSError: it has ended.
        """
        self.release(device)
        descriptor = self._descriptors[device] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return f"/proc/{os.getpid()}/fd/{descriptor}"

    def release(self, device: str) -> None:
        """Let go of it."""
        descriptor = self._descriptors.pop(device, None)
        if descriptor is not None:
            os.close(descriptor)

    def release_all(self) -> None:
        """Let go of all."""
        for device in list(self._descriptors):
            self.release(device)
