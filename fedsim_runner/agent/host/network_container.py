"""The container that holds the run's network: finding its namespace, and noticing that it is gone."""

from __future__ import annotations

import os
from dataclasses import dataclass

from fedsim_runner.contract.names import KIND_NETWORK, LABEL_KIND, LABEL_RUN, network_name

from .docker_api import Docker, GoneError


@dataclass(frozen=True)
class Namespace:
    """A network namespace: the path through which a process leads to it, and its number in the kernel."""

    path: str
    number: tuple[int, int]


class NetworkContainer:
    """Bridges are in the namespace of its process: if that ends, so do they, and all devices' interfaces with them.

    Args:
        docker: the Engine.
        run: the run's id.

    Attributes:
        name: the container's.
        namespace: as last found; None: the container does not run.
    """

    def __init__(self, docker: Docker, run: str) -> None:
        self._docker = docker
        self._labels = {LABEL_RUN: run, LABEL_KIND: KIND_NETWORK}
        self.name = network_name(run)
        self.namespace: Namespace | None = None

    def look_up(self) -> None:
        """Ask the Engine for the container.

        Raises:
            DockerError: the Engine does not answer.
        """
        found = None
        for entry in self._docker.containers(self._labels):
            try:
                pid = int(self._docker.inspect(entry["Id"])["State"].get("Pid") or 0)
            except GoneError:
                continue
            path = f"/proc/{pid}/ns/net"
            number = namespace_number(path) if pid else None
            if number is not None:
                found = Namespace(path, number)
        self.namespace = found

    def failure(self) -> str | None:
        """Why the namespace last found is gone; None while it is there. Asks the kernel, not the Engine."""
        if self.namespace is None or namespace_number(self.namespace.path) == self.namespace.number:
            return None
        return f"container {self.name}, which holds the run's network, has ended: no device reaches another"


def namespace_number(namespace: str) -> tuple[int, int] | None:
    """The device and inode of the namespace at a path, which identify it; None if there is none."""
    try:
        status = os.stat(namespace)  # noqa: PTH116 -- a hundred at once, for each of which a Path takes longer
    except OSError:
        return None
    return status.st_dev, status.st_ino
