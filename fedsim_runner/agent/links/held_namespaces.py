"""Network namespaces that are kept after their device's process has ended."""

from __future__ import annotations

import contextlib
import os


class HeldNamespaces:
    """Holds the last namespace of each device: as long as it does, what the device passes on goes on passing."""

    def __init__(self) -> None:
        self._descriptors: dict[str, int] = {}

    def hold(self, device: str, path: str) -> None:
        """Hold this namespace of a device, and no longer the one before."""
        self.release(device)
        with contextlib.suppress(OSError):  # it has ended meanwhile
            self._descriptors[device] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def release(self, device: str) -> None:
        """Let go of it."""
        descriptor = self._descriptors.pop(device, None)
        if descriptor is not None:
            os.close(descriptor)

    def release_all(self) -> None:
        """Let go of all."""
        for device in list(self._descriptors):
            self.release(device)
