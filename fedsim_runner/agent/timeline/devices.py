"""Acting on devices' containers: freezing, ending and starting them.

Freezing is a write to the cgroup's freezer, which takes effect at once; the Engine would need a tenth of a second. It
does not have to know of it: it ends and removes a container that is frozen like any other. Killing begins with
freezing, too, so that the participant does nothing more from the moment on that was asked for, and the Engine ends it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from fedsim_runner.contract.errors import Exit, FedsimError

from ..host.cgroup_folders import MOUNTS, V2, cgroup_folders
from ..host.fleet import Container

_SETTLES_S = 0.02
_LOOK_S = 0.001
_V1_FILE = "freezer.state"


class DeviceError(FedsimError):
    """A device's container cannot be acted upon; the text says why."""

    exit = Exit.COURSE


class Engine(Protocol):
    """The calls that are made to the Docker Engine."""

    def kill(self, container: str, signal_name: str) -> None: ...
    def restart(self, container: str) -> None: ...


class Devices:
    """Acts on the containers of one run's devices.

    Args:
        engine: the Docker Engine.
        containers: the containers by device, as last seen.
        mounts: where the lab host's cgroups are mounted.
    """

    def __init__(self, engine: Engine, containers: Mapping[str, Container], mounts: Iterable[Path] = MOUNTS) -> None:
        self._engine = engine
        self._containers = containers
        self._mounts = tuple(mounts)
        self._freezers: dict[str, tuple[int, Path]] = {}  # by device; the first is the process whose cgroup it is

    def look_up(self, names: Iterable[str]) -> None:
        """Find the cgroups of devices that are about to be frozen: for a hundred of them that takes a while."""
        for name in names:
            container = self._containers.get(name)
            if container is not None and container.pid:
                self._freezer(container)

    def freeze(self, names: Iterable[str], frozen: bool) -> dict[str, str]:
        """Stop all processes of devices where they are, or have them go on; return reasons where that failed.

        What has processes that wait in the kernel takes a moment longer (:meth:`frozen`).
        """
        failed: dict[str, str] = {}
        for name in names:
            try:
                path = self._freezer(self._running(name))
                path.write_text(_state(path, frozen))
            except OSError as error:
                failed[name] = f"the processes of {name} could not be {'frozen' if frozen else 'thawed'}: {error}"
            except DeviceError as error:
                failed[name] = str(error)
        return failed

    def frozen(self, names: Iterable[str], wanted: bool) -> dict[str, str]:
        """What the kernel says of devices that were frozen, or are to go on again; it has a moment for all of them."""
        said: dict[str, str] = {}
        until = time.monotonic() + _SETTLES_S
        for name in names:
            try:
                path = self._freezer(self._running(name))
                while (state := path.read_text().strip()) != _state(path, wanted) and time.monotonic() < until:
                    time.sleep(_LOOK_S)
                said[name] = f"{path.name} {state}"
            except (OSError, DeviceError):
                continue  # it has ended since
        return said

    def runs(self, name: str) -> bool:
        """Whether a device has processes."""
        container = self._containers.get(name)
        return container is not None and container.pid > 0

    def kill(self, name: str) -> str:
        """End a device's processes with SIGKILL; return what was done.

        Raises:
            DeviceError: it does not run.
            DockerError: the Engine refuses it.
        """
        self._engine.kill(self._running(name).id, "KILL")
        return "SIGKILL sent"

    def restart(self, name: str) -> str:
        """End a device's processes if any run, and start its container.

        Raises:
            DeviceError: it has no container.
            DockerError: the Engine refuses it.
        """
        container = self._containers.get(name)
        if container is None:
            raise DeviceError(f"{name} has no container")
        self._engine.restart(container.id)
        return "restarted"

    def _running(self, name: str) -> Container:
        container = self._containers.get(name)
        if container is None or not container.pid:
            raise DeviceError(f"{name} is not running")
        return container

    def _freezer(self, container: Container) -> Path:
        """The file that freezes a container's cgroup.

        Raises:
            DeviceError: it has none.
        """
        known = self._freezers.get(container.device)
        if known is None or known[0] != container.pid:
            folders = cgroup_folders(container.pid, container.id, self._mounts)
            if "freezer" in folders:
                known = container.pid, folders["freezer"] / _V1_FILE
            elif V2 in folders:
                known = container.pid, folders[V2] / "cgroup.freeze"
            else:
                raise DeviceError(f"the cgroup of {container.device} has no freezer")
            self._freezers[container.device] = known
        return known[1]


def _state(path: Path, frozen: bool) -> str:
    """What is written to a freezer's file, and read from it."""
    if path.name == _V1_FILE:
        return "FROZEN" if frozen else "THAWED"
    return str(int(frozen))
