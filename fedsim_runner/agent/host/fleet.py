"""The run's device containers as Docker reports them, with as few calls as possible."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedsim_runner.contract.names import KIND_DEVICE, LABEL_DEVICE, LABEL_KIND, LABEL_RUN

from .docker_api import Docker, DockerError

_INSPECTORS = 4
_RETRY_S = 0.5


@dataclass(frozen=True)
class Container:
    """A device's container. ``pid`` is 0 while it does not run."""

    device: str
    id: str
    pid: int
    paused: bool
    exit_code: int | None
    oom_killed: bool


def _from(detail: Mapping[str, Any]) -> Container:
    state = detail["State"]
    running = bool(state.get("Running"))
    started = not str(state.get("StartedAt", "")).startswith("0001")
    return Container(
        detail["Config"]["Labels"].get(LABEL_DEVICE, ""),
        detail["Id"],
        int(state.get("Pid") or 0) if running else 0,
        bool(state.get("Paused")),
        int(state.get("ExitCode") or 0) if started and not running else None,
        bool(state.get("OOMKilled")),
    )


class Fleet:
    """Lists one run's device containers."""

    def __init__(self, docker: Docker, run: str) -> None:
        self._docker = docker
        self._labels = {LABEL_RUN: run, LABEL_KIND: KIND_DEVICE}

    def list_containers(self, known: Mapping[str, Container]) -> dict[str, Container]:
        """All device containers by device. Those in ``known`` whose process still lives are not inspected again.

        Raises:
            DockerError: the Engine does not answer.
        """
        found: dict[str, Container] = {}
        uninspected: list[str] = []
        for entry in self._docker.containers(self._labels):
            device = entry["Labels"].get(LABEL_DEVICE, "")
            before = known.get(device)
            if before is not None and before.id == entry["Id"] and entry["State"] == "running" and _lives(before):
                found[device] = before
            else:
                uninspected.append(entry["Id"])
        with ThreadPoolExecutor(_INSPECTORS, "inspect") as pool:
            for container in pool.map(self.inspect, uninspected):
                if container is not None:
                    found[container.device] = container
        return found

    def inspect(self, container: str) -> Container | None:
        """One container; None if it is gone."""
        try:
            return _from(self._docker.inspect(container))
        except DockerError:
            return None

    def last_lines(self, container: str, count: int = 20) -> list[str]:
        """The end of its output; empty if it is gone."""
        try:
            return self._docker.last_lines(container, count)
        except DockerError:
            return []


def _lives(container: Container) -> bool:
    try:
        return container.id in Path(f"/proc/{container.pid}/cgroup").read_text()
    except OSError:
        return False


class Events(threading.Thread):
    """Puts container and network events of the Engine into a queue; ``None`` after a gap: list everything again."""

    def __init__(self, docker: Docker, out: queue.SimpleQueue[dict[str, Any] | None]) -> None:
        super().__init__(name="docker events", daemon=True)
        self._docker = docker
        self._out = out

    def run(self) -> None:
        kinds = {
            "type": ["container", "network"],
            "event": ["start", "die", "oom", "pause", "unpause", "connect"],
        }
        since = time.time()
        while True:
            try:
                for event in self._docker.events(kinds, since):
                    since = event.get("timeNano", 0) / 1e9 or since
                    self._out.put(event)
            except DockerError:
                pass  # the Engine restarts: try until it is back
            time.sleep(_RETRY_S)
            self._out.put(None)
