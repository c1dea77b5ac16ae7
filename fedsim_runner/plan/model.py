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
class Plan:
    """Everything needed to write the inventory."""

    experiment: Experiment
    run: str
    lab_hosts: tuple[LabHost, ...]
    placed: tuple[PlacedDevice, ...]
    cpu_factor: float
    network_name: str
    subnet: str
    gateway: str
    notes: tuple[str, ...] = ()  # for the user: over-commitment, missing GPU, arch not emulated
