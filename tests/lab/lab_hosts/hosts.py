"""A lab host's container: made, started, called from its console, removed."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import docker
from docker.errors import APIError, NotFound

from .program import LabError, call

LABEL = "fedsim-test.lab"  # its value is the lab's number
READY_S = 60.0
TUN = "/dev/net/tun"
_READY = "until systemctl -q is-active ssh && docker version >/dev/null 2>&1; do sleep 0.1; done"


@dataclass(frozen=True)
class LabHost:
    """A lab host that is up.

    Attributes:
        name: ``lab1`` and so on.
        index: its number, from 1.
        container: the name of its container, and of the volume with its Engine's files.
        address: in the lab's network.
        pid: of its init system, as this machine counts.
    """

    name: str
    index: int
    container: str
    address: str
    pid: int

    @property
    def engine_url(self) -> str:
        """The address of its Docker Engine, as this machine's root reaches it without the lab's network."""
        return f"unix:///proc/{self.pid}/root/run/docker.sock"

    @property
    def enter(self) -> tuple[str, ...]:
        """What to put before a command that this machine's root runs on it."""
        return "nsenter", f"--target={self.pid}", "--mount", "--uts", "--ipc", "--net", "--pid", "--"

    def console(self, *command: str, stdin: str = "", timeout_s: float = READY_S) -> str:
        """Run a command on it as its root, without SSH, so that it works when its network is cut.

        Raises:
            LabError: the command failed or took too long.
        """
        return call([*self.enter, *command], stdin=stdin, timeout_s=timeout_s)

    def await_ready(self) -> None:
        """Wait until one can log in and its Engine answers.

        Raises:
            LabError: it took too long.
        """
        self.console("sh", "-c", _READY)


def create(
    client: docker.DockerClient, number: int, name: str, image: str, files: bytes, addresses: Mapping[str, str]
) -> str:
    """Create the container, whose network is empty; return its name.

    Args:
        files: a tar file that is unpacked in it.
        addresses: of all lab hosts by name, for its hosts file.
    """
    container = f"fedsim-lab-{number}-{name}"
    client.volumes.create(container, labels={LABEL: str(number)})
    client.api.create_container(
        image, "/lab-enter", name=container, hostname=name, labels={LABEL: str(number)},
        environment={"container": "docker"}, stop_signal="SIGRTMIN+3", host_config=_host_config(container, addresses),
    )  # fmt: skip
    client.api.put_archive(container, "/", files)
    return container


def start(client: docker.DockerClient, container: str) -> int:
    """Start the container; return the process id of its init system."""
    client.api.start(container)
    pid = int(client.api.inspect_container(container)["State"]["Pid"])
    if not pid:
        raise LabError(f"{container} ended at once:\n{client.api.logs(container, tail=20).decode()}")
    return pid


def remove_all(client: docker.DockerClient, number: int) -> list[str]:
    """Remove the containers and volumes of a lab; return the names of what is still there."""
    chosen = {"label": f"{LABEL}={number}"}
    for container in client.containers.list(all=True, filters=chosen):
        with contextlib.suppress(NotFound, APIError):
            container.remove(force=True, v=True)
    for volume in client.volumes.list(filters=chosen):
        with contextlib.suppress(NotFound, APIError):
            volume.remove(force=True)
    left = [container.name for container in client.containers.list(all=True, filters=chosen)]
    return [*left, *(volume.name for volume in client.volumes.list(filters=chosen))]


def numbers(client: docker.DockerClient) -> set[int]:
    """The numbers of the labs that have a container or a volume."""
    chosen = {"label": LABEL}
    found = [container.labels for container in client.containers.list(all=True, filters=chosen)]
    found += [volume.attrs.get("Labels") or {} for volume in client.volumes.list(filters=chosen)]
    return {int(labels[LABEL]) for labels in found if LABEL in labels}


def _host_config(volume: str, addresses: Mapping[str, str]) -> dict[str, Any]:
    """All that a Docker Engine inside needs. ``--privileged`` fails where CAP_SYS_RESOURCE is not granted."""
    return {
        "CapAdd": ["ALL"],
        "CapDrop": ["SYS_RESOURCE"],
        "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined"],
        "MaskedPaths": [],
        "ReadonlyPaths": [],
        "DeviceCgroupRules": ["a *:* rwm"],
        "Devices": [{"PathOnHost": TUN, "PathInContainer": TUN, "CgroupPermissions": "rwm"}],
        "CgroupnsMode": "private",
        "NetworkMode": "none",
        "Binds": [f"{volume}:/var/lib/docker"],
        "Tmpfs": {"/run": "", "/run/lock": "", "/tmp": "exec,mode=1777"},
        "ExtraHosts": [f"{name}:{address}" for name, address in addresses.items()],
    }
