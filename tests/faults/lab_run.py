"""A run on a lab of several lab hosts: the command runs on the control node's side of the lab's network."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import docker

from fedsim_runner.contract.names import LABEL_LAB_HOST, LABEL_RUN
from fedsim_runner.contract.paths import STATE_ROOT
from tests.lab.lab_hosts.hosts import LabHost
from tests.lab.lab_hosts.lab import Lab

from .live_run import LiveRun


class LabRun(LiveRun):
    """One run of ``fedsim-provision -i INVENTORY``.

    Args:
        engine: this machine's Docker Engine, which carries nothing of the run.
        where: an empty folder for everything that the run writes.
        name: the run's name.
        lab: the lab hosts.
    """

    def __init__(self, engine: docker.DockerClient, where: Path, name: str, lab: Lab) -> None:
        super().__init__(engine, where, name)
        self.lab = lab
        self.lab_options = ("-i", str(lab.inventory()))
        with ExitStack() as stack:
            self._engines = {host.name: docker.DockerClient(host.engine_url, timeout=60) for host in lab.hosts}
            for client in self._engines.values():
                stack.callback(client.close)
            self.close = stack.pop_all().close

    def command(self, *arguments: str) -> list[str]:
        return self.lab.on_control_node(super().command(*arguments))

    @property
    def engines(self) -> Sequence[docker.DockerClient]:
        return (self.engine, *self._engines.values())

    @property
    def state_folders(self) -> Sequence[Path]:
        folder = (STATE_ROOT / self.run).relative_to("/")
        return (self.state.path, *(Path(f"/proc/{host.pid}/root") / folder for host in self.lab.hosts))

    def carried_by(self, device: str) -> LabHost:
        """The lab host of a device."""
        return self.lab[str(self.container(device).labels[LABEL_LAB_HOST])]

    def devices_on(self, host: str) -> set[str]:
        """The devices of a lab host, by what its Engine says."""
        found = self._engines[host].containers.list(all=True, filters={"label": f"{LABEL_RUN}={self.run}"})
        return {one.labels["org.fedsim.device"] for one in found if "org.fedsim.device" in one.labels}

    def left_over(self) -> list[str]:
        names = super().left_over()
        for host in self.lab.hosts:
            links = host.console("ip", "-details", "link")
            names += [f"{host.name}: {line.strip()}" for line in links.splitlines() if self.run in line]
        return names

    def left_over_on(self, *hosts: str) -> list[str]:
        """What the run still has on some of the lab hosts."""
        found = []
        for name in hosts:
            containers = self._engines[name].containers.list(all=True, filters={"label": f"{LABEL_RUN}={self.run}"})
            found += [f"{name}: {container.name}" for container in containers]
            folder = Path(f"/proc/{self.lab[name].pid}/root") / (STATE_ROOT / self.run).relative_to("/")
            found += [str(folder)] if folder.exists() else []
        return found

    def remove(self) -> None:
        for host in self.lab.hosts:
            self.lab.reconnect(host.name)
        try:
            super().remove()
        finally:
            self.close()
