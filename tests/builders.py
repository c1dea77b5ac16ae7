"""Small experiments and labs for tests, built without files."""

from __future__ import annotations

from fedsim_runner.catalog.types import DeviceType, NetworkProfile
from fedsim_runner.contract.link import Link
from fedsim_runner.lab.host import LabHost
from fedsim_runner.spec.experiment import CourseLimits, DataSource, Device, Experiment

MB = 2**20


def device_type(name: str = "phone", cpus: float = 2, memory_mb: int = 512, **changes: object) -> DeviceType:
    values: dict[str, object] = {
        "name": name,
        "cpus": cpus,
        "memory_bytes": memory_mb * MB,
        "arch": "amd64",
        "gpus": 0,
        "pids": 128,
        "network": "lan",
        "dockerfile": name,
    }
    return DeviceType(**{**values, **changes})


LAN = NetworkProfile("lan", Link(rate_bps=10_000_000, delay_us=5_000), Link(rate_bps=20_000_000, delay_us=5_000))


def experiment(clients: int = 3, client: DeviceType | None = None, server: DeviceType | None = None) -> Experiment:
    """One server and ``clients`` equal clients on a LAN, ten rounds of digits."""
    server_type = server or device_type("edge", cpus=4, memory_mb=2048)
    client_type = client or device_type()
    devices = [Device("server", server_type, "server", "light", LAN)]
    devices += [Device(f"phone-{n}", client_type, "client", "light", LAN) for n in range(1, clients + 1)]
    return Experiment(
        name="study",
        seed=7,
        devices=tuple(devices),
        course=CourseLimits(timeout_s=600, silence_timeout_s=60),
        data=DataSource(dataset="digits", split="dirichlet", alpha=0.5, test_fraction=0.2),
        config={
            "federate": {"total_round_num": 10},
            "model": {"type": "lr", "out_channels": 10},
            "criterion": {"type": "CrossEntropyLoss"},
        },
    )


def lab_host(name: str = "lab1", cpus: float = 8, memory_gb: float = 32, **changes: object) -> LabHost:
    values: dict[str, object] = {
        "name": name,
        "cpus": cpus,
        "memory_bytes": int(memory_gb * 2**30),
        "arch": "amd64",
    }
    return LabHost(**{**values, **changes})
