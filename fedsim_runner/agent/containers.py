"""The run's device containers as last seen, and the changes since then."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection

from .host.docker_api import Docker, DockerError
from .host.fleet import Container, Fleet

_KILLED = 137  # the exit code to assume where the Engine reports none


class Containers:
    """The device containers of one run. Not thread-safe: its owner holds a lock.

    Args:
        docker: the Engine.
        run: the run's id.
        devices: returns the names of the devices that count; called each time they are needed.
        on_started: called with a container when its process is first seen.
        on_ended: called with a container whose process has ended.

    Attributes:
        by_device: the containers as last seen.
    """

    def __init__(
        self,
        docker: Docker,
        run: str,
        devices: Callable[[], Collection[str]],
        on_started: Callable[[Container], None],
        on_ended: Callable[[Container], None],
    ) -> None:
        self._docker = docker
        self._fleet = Fleet(docker, run)
        self._devices = devices
        self._on_started = on_started
        self._on_ended = on_ended
        self.by_device: dict[str, Container] = {}

    def running_pids(self) -> dict[str, int]:
        """Process ids of the running containers, by device."""
        return {name: container.pid for name, container in self.by_device.items() if container.pid}

    def refresh(self) -> None:
        """Bring ``by_device`` up to date; if the Engine does not answer, nothing changes."""
        try:
            found = self._fleet.list_containers(self.by_device)
        except DockerError:
            return
        for name in self._devices():
            if name in found:
                self._observe(found[name])
            elif name in self.by_device:
                self._end(self.by_device.pop(name), _KILLED, False)

    def with_id(self, identity: object) -> Container | None:
        """The known container with this id."""
        return next((container for container in self.by_device.values() if container.id == identity), None)

    def inspect(self, identity: str) -> Container | None:
        """Ask the Engine about one container; None if it is gone or does not belong to a device."""
        container = self._fleet.inspect(identity)
        if container is None or container.device not in self._devices():
            return None
        self._observe(container)
        return container

    def on_died(self, container: Container, exit_code: int | None) -> None:
        """Handle the Engine's report that a known container has ended."""
        after = self._fleet.inspect(container.id)
        self._end(container, exit_code, after is not None and after.oom_killed)

    def last_lines(self, container: Container) -> list[str]:
        """The end of its output; empty if it is gone."""
        return self._fleet.last_lines(container.id)

    def send(self, names: Collection[str], signal: str) -> None:
        """Send a signal to the running ones among these devices, without waiting for the Engine."""
        identities = [self.by_device[name].id for name in names if name in self.by_device and self.by_device[name].pid]
        if not identities:
            return

        def kill() -> None:
            for identity in identities:
                with contextlib.suppress(DockerError):  # it has already ended, or the Engine does not answer
                    self._docker.kill(identity, signal)

        threading.Thread(target=kill, name=f"send {signal}", daemon=True).start()

    def _observe(self, container: Container) -> None:
        before = self.by_device.get(container.device)
        if before == container:
            return
        if before is not None and before.pid and before.pid != container.pid:
            self._end(before, container.exit_code, container.oom_killed)
        self.by_device[container.device] = container
        if container.pid and (before is None or before.pid != container.pid):
            self._on_started(container)

    def _end(self, container: Container, exit_code: int | None, oom_killed: bool) -> None:
        code = _KILLED if exit_code is None else exit_code
        after = Container(container.device, container.id, 0, False, code, oom_killed)
        self.by_device[container.device] = after
        self._on_ended(after)
