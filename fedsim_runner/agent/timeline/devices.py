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

    def freeze(self, name: str, frozen: bool) -> str:
        """Stop all processes of a device where they are, or have them go on; return what the kernel then says.

        Raises:
            DeviceError: it does not run, or the kernel has no freezer.
        """
        container = self._running(name)
        folders = cgroup_folders(container.pid, container.id, self._mounts)
        try:
            if "freezer" in folders:
                return _set(folders["freezer"] / "freezer.state", "FROZEN" if frozen else "THAWED")
            if V2 in folders:
                path = folders[V2] / "cgroup.freeze"
                path.write_text(str(int(frozen)))
                return f"cgroup.freeze {path.read_text().strip()}"
        except OSError as error:
            raise DeviceError(
                f"the processes of {name} could not be {'frozen' if frozen else 'thawed'}: {error}"
            ) from error
        raise DeviceError(f"the cgroup of {name} has no freezer")

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
        return "started anew"

    def _running(self, name: str) -> Container:
        container = self._containers.get(name)
        if container is None or not container.pid:
            raise DeviceError(f"{name} does not run")
        return container


def _set(path: Path, wanted: str) -> str:
    """Write a cgroup v1 freezer's state; processes that wait in the kernel take a moment."""
    path.write_text(wanted)
    until = time.monotonic() + _SETTLES_S
    while (state := path.read_text().strip()) != wanted and time.monotonic() < until:
        time.sleep(_LOOK_S)
    return f"freezer.state {state}"
