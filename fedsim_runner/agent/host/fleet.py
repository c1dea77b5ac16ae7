"""A run's device containers as Docker reports them, with as few calls as possible.

What the Engine does not answer is unknown: only a 404 means that a container is gone, only its own state that it ended.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from fedsim_runner.contract.names import KIND_DEVICE, LABEL_DEVICE, LABEL_KIND, LABEL_RUN

from .docker_api import Docker, DockerError, GoneError, RefusedError

_INSPECTORS = 4
_LONGEST_S = 60.0  # of a listing in which calls time out; those left over are asked for by the next one


@dataclass(frozen=True)
class Container:
    """A device's container.

    Attributes:
        pid: 0 while it does not run.
        started_at: its last start, in Unix seconds.
        log_path: where the Engine keeps what it prints; empty if it does not say.
    """

    device: str
    id: str
    pid: int
    paused: bool
    exit_code: int | None
    oom_killed: bool
    started_at: float = 0.0
    log_path: str = ""


@dataclass
class Listing:
    """An answer about all containers.

    Attributes:
        found: the containers by device.
        gone: devices whose known container the Engine no longer has.
        unknown: ids, by device, of containers about which the Engine did not answer.
    """

    found: dict[str, Container] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    unknown: dict[str, str] = field(default_factory=dict)


def _from(detail: Mapping[str, Any]) -> Container:
    state = detail["State"]
    running = bool(state.get("Running"))
    started = str(state.get("StartedAt", ""))
    ended = not running and not started.startswith("0001")
    return Container(
        detail["Config"]["Labels"].get(LABEL_DEVICE, ""),
        detail["Id"],
        int(state.get("Pid") or 0) if running else 0,
        bool(state.get("Paused")),
        int(state.get("ExitCode") or 0) if ended else None,
        bool(state.get("OOMKilled")),
        _seconds(started),
        str(detail.get("LogPath") or ""),
    )


class Fleet:
    """Asks the Engine about one run's device containers. Thread-safe."""

    def __init__(self, docker: Docker, run: str) -> None:
        self._docker = docker
        self._labels = {LABEL_RUN: run, LABEL_KIND: KIND_DEVICE}

    def list_containers(self, known: Mapping[str, Container]) -> Listing:
        """All device containers. Those in ``known`` whose process still lives are not inspected again.

        Raises:
            DockerError: the Engine does not answer, so nothing is known.
        """
        listing = Listing()
        asked: dict[str, str] = {}
        listed: set[str] = set()
        for entry in self._docker.containers(self._labels):
            device = entry["Labels"].get(LABEL_DEVICE, "")
            listed.add(device)
            before = known.get(device)
            if before is not None and before.id == entry["Id"] and entry["State"] == "running" and _lives(before):
                listing.found[device] = before
            else:
                asked[device] = entry["Id"]
        # A busy Engine may leave a container out of its list, so these are asked for by their ids as well.
        asked.update((name, one.id) for name, one in known.items() if name not in listed and one.pid)

        begun = time.monotonic()

        def inspect(device: str) -> None:
            if listing.unknown and time.monotonic() - begun > _LONGEST_S:
                listing.unknown[device] = asked[device]
                return
            try:
                container = self.inspect(asked[device])
            except DockerError:
                listing.unknown[device] = asked[device]
                return
            if container is not None:
                listing.found[container.device] = container
            elif device in known and known[device].id == asked[device]:
                listing.gone.add(device)

        with ThreadPoolExecutor(_INSPECTORS, "inspect") as pool:
            list(pool.map(inspect, asked))
        return listing

    def inspect(self, container: str) -> Container | None:
        """One container; None if it is gone.

        Raises:
            DockerError: the Engine does not answer, so its state is unknown.
        """
        try:
            return _from(self._docker.inspect(container))
        except GoneError:
            return None

    def last_lines(self, container: str, count: int = 20) -> list[str]:
        """The end of its output; empty if the Engine does not have it.

        Raises:
            DockerError: the Engine does not answer.
        """
        try:
            return self._docker.last_lines(container, count)
        except RefusedError:
            return []


def _seconds(moment: str) -> float:
    try:
        return datetime.fromisoformat(moment).timestamp()
    except ValueError:
        return 0.0


def _lives(container: Container) -> bool:
    try:
        return container.id in Path(f"/proc/{container.pid}/cgroup").read_text()
    except OSError:
        return False
