"""The result of planning: every device's lab host, address and actual limits."""

from __future__ import annotations

from dataclasses import dataclass

from ..lab.host import LabHost
from ..spec.experiment import Device, Experiment


@dataclass(frozen=True)
class PlacedDevice:
    """A device on its lab host: its address and the limits it actually gets."""

    device: Device
    lab_host: str
    address: str
    port: int
    cpus: float  # after the common factor
    threads: int
    gpus: int
    index: int  # 0 for the server, 1..n for clients; also FederatedScope's data_idx


@dataclass(frozen=True)
class HostLoad:
    """What the devices of one lab host are expected to take of it.

    Attributes:
        memory_bytes: of all participants, loaded and with a small model, and of what the testbed adds for each.
        cpus: what their limits allow them together.
        tasks: processes and threads, as far as they are known.
        start_s: until the last of them waits at the gate.
        load_s: from there until the last has loaded what its engine needs; the course begins then.
    """

    lab_host: LabHost
    devices: int
    memory_bytes: int
    cpus: float
    tasks: int
    start_s: float
    load_s: float


@dataclass(frozen=True)
class Plan:
    """Everything needed to write the inventory."""

    experiment: Experiment
    run: str
    lab_hosts: tuple[LabHost, ...]
    placed: tuple[PlacedDevice, ...]
    cpu_factor: float
    subnet: str
    loads: tuple[HostLoad, ...] = ()  # in the order of lab_hosts, without those that carry no device
    notes: tuple[str, ...] = ()  # for the user: over-commitment, missing GPU, arch not emulated
