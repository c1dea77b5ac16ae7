"""Device files for tests, as the inventory writes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fedsim_runner.contract.device_file import (
    CourseSettings,
    DataSettings,
    Device,
    DeviceFile,
    FederatedScopeSettings,
    Network,
    Role,
)
from fedsim_runner.contract.link import Link, Links


def device(name: str, role: Role = "client", index: int = 1, **changes: Any) -> Device:
    """A device that nothing limits much."""
    plain = Device(
        name=name,
        type="edge",
        role=role,
        engine="light",
        index=index,
        address=f"198.18.0.{index + 2}",
        port=50051 + index,
        image="edge-light",
        cpus=0.5,
        threads=1,
        memory_bytes=1 << 28,
        pids=32,
        read_bps=None,
        write_bps=None,
        gpus=0,
        arch="amd64",
        network="lan",
        link=Links(Link(), Link()),
        config={},
    )
    return replace(plain, **changes)


def device_file(*devices: Device, course: Mapping[str, Any] | None = None, source: str | None = None) -> DeviceFile:
    """A run on one lab host; without devices: a server and two clients. ``source``: of FederatedScope."""
    devices = devices or (device("server", "server", 0), device("pi-1"), device("pi-2", index=2))
    clients = tuple(one.name for one in devices if one.role == "client")
    server = next((one.name for one in devices if one.role == "server"), "server")
    settings = CourseSettings(
        server=server, client_num=len(clients), timeout_s=60.0, silence_timeout_s=30.0, total_rounds=2
    )
    return DeviceFile(
        run="study",
        experiment="study",
        seed=1,
        lab_host="local",
        network=Network("198.18.0.0/24"),
        course=replace(settings, **(course or {})),
        data=DataSettings(dataset="digits", split="iid", alpha=0.5, test_fraction=0.2, seed=1, layout="flat"),
        federatedscope=FederatedScopeSettings(source),
        clients=clients,
        devices=devices,
    )
