"""A lab host as a value: its name, how to reach it, and its capacity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..compute.calibration import Calibration
from ..contract.emulation import Slowdowns
from ..contract.paths import STATE_ROOT
from ..contract.reservation import Reservation
from .ssh import Ssh


@dataclass(frozen=True)
class DeviceOverhead:
    """What the testbed takes of a lab host for one device, besides the device's participant.

    Attributes:
        memory_bytes: resident memory.
        start_cpu_s: CPU seconds to start it.
        start_s: least seconds from one start to the next, however many cores there are.
        tasks: processes and threads.
    """

    memory_bytes: int = 0
    start_cpu_s: float = 0.0
    start_s: float = 0.0
    tasks: int = 0


@dataclass(frozen=True)
class Taken:
    """What another run holds of a lab host.

    Attributes:
        run: its id.
        user: who started it; empty: unknown.
        cpus: the sum of its devices' limits.
        memory_bytes: what its devices are expected to take.
        gpu_ids: GPUs that its devices were given.
    """

    run: str
    user: str = ""
    cpus: float = 0.0
    memory_bytes: int = 0
    gpu_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Standing:
    """What a run has of a lab host since it was last brought up.

    Attributes:
        cpu_factor: with which its devices' cpus were scaled, over the whole lab.
        cpus: the limit of each of its devices there, by name; None: not limited.
        gpu_ids: the GPUs that each of its devices there was given, by name.
    """

    cpu_factor: float
    cpus: Mapping[str, float | None] = field(default_factory=dict)
    gpu_ids: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class LabHost:
    """What placement needs to know of a lab host, and how plays and Engine calls reach it.

    Attributes:
        cpus: that runs may use; the inventory may set less than the machine has. The same for ``memory_bytes``.
        gpu_ids: GPUs as the Engine calls them, by number.
        labels: what tells it from others; experiment files ask for them.
        taken: what other runs hold of it.
        reservations: those of all runs, the planned one's included, when it was probed.
        standing: what the planned run itself has of it already; None: nothing.
        memory_free_bytes: what is free now for new devices; 0: unknown.
        tasks: processes and threads that its kernel allows; 0: unknown.
        emulates: other architectures whose programs its kernel runs; None: unknown.
        slowdowns: how many times longer devices of those compute, as measured there.
        processor: its model or what the inventory calls it, by which calibrations are kept; empty: unknown.
        calibrations: what was measured on such a processor, by reference; None: devices are not limited there.
        overhead: what each device takes there besides its participant; the testbed knows it.
        connection: Ansible's connection plugin.
        address: the lab host's address for Ansible; None: its name.
        lab_address: the IPv4 address at which the other lab hosts reach it; None: unknown, or there are no others.
        engine_url: where its Docker Engine listens, as seen from here; None: where ``docker`` itself would look
            (``contract/engine_address.py``).
        ssh: how ssh reaches it; None: it is this machine.
        most_devices: of one run, which it connects; the testbed knows it; None: as many as it has memory for.
        state_root: the folder of the runs' state folders there.
        missing: why it cannot be used now; empty: it can.
    """

    name: str
    cpus: float = 0.0
    memory_bytes: int = 0
    arch: str = ""
    gpu_ids: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    taken: tuple[Taken, ...] = ()
    standing: Standing | None = None
    reservations: tuple[Reservation, ...] = ()
    memory_free_bytes: int = 0
    tasks: int = 0
    emulates: tuple[str, ...] | None = None
    slowdowns: Slowdowns = field(default_factory=dict)
    processor: str = ""
    calibrations: Mapping[str, Calibration] | None = None
    overhead: DeviceOverhead = DeviceOverhead()
    connection: Literal["local", "ssh"] = "local"
    address: str | None = None
    lab_address: str | None = None
    engine_url: str | None = None
    ssh: Ssh | None = None
    most_devices: int | None = None
    state_root: Path = STATE_ROOT
    missing: str = ""
