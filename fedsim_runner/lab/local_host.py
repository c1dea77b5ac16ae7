"""The control node as its own lab host, probed without changing anything."""

from __future__ import annotations

from dataclasses import replace

from docker.errors import DockerException

from ..contract.emulation import describe_circumstances, read_slowdowns
from ..contract.host_capacity import measure_this_machine
from ..contract.paths import STATE_ROOT
from ..contract.reservation import read_reservations
from .engine_client import connect_to_engine
from .host import LabHost


def probe_lab_host(host: LabHost) -> LabHost:
    """Return a known lab host with its current capacity.

    Raises:
        EngineAddressError: see :func:`local_lab_host`.
    """
    found = local_lab_host(host.name, host.engine_url)
    return replace(
        host,
        cpus=found.cpus,
        memory_bytes=found.memory_bytes,
        arch=found.arch,
        gpu_ids=found.gpu_ids,
        memory_free_bytes=found.memory_free_bytes,
        tasks=found.tasks,
        reservations=tuple(read_reservations(host.state_root)),
        emulates=found.emulates,
        slowdowns=found.slowdowns,
        processor=found.processor,
    )


def local_lab_host(name: str, engine_url: str | None = None) -> LabHost:
    """Read the capacity of the lab host behind this machine's Docker Engine.

    If an Engine answers, its own figures count (Docker Desktop's Engine runs in another VM than the shell); if none
    does, those of this machine, because the Engine will be installed on it.

    Raises:
        EngineAddressError: the user's settings of Docker name an Engine that is not on this machine.
    """
    capacity = measure_this_machine()
    try:
        client = connect_to_engine(engine_url, timeout_s=10)
        try:
            capacity = capacity.with_engine_figures(client.info())
        finally:
            client.close()
    except (DockerException, OSError):
        pass  # no Engine yet: it will be installed on this machine
    return LabHost(
        name=name,
        cpus=float(capacity.cpus),
        memory_bytes=capacity.memory_bytes,
        arch=capacity.arch,
        gpu_ids=capacity.gpu_ids,
        memory_free_bytes=capacity.memory_free_bytes,
        tasks=capacity.tasks,
        emulates=capacity.emulates,
        slowdowns=read_slowdowns(STATE_ROOT, describe_circumstances()),
        processor=capacity.processor,
    )
