"""A course's participants on this machine's loopback: addresses, ports, paths."""

from __future__ import annotations

import copy
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from fedsim_runner.contract.link import Link
from fedsim_runner.contract.paths import COLLECTED, CONFIG, INITIAL_MODEL, PARTICIPANTS, SHARD
from fedsim_runner.contract.records import engine_argument
from fedsim_runner.spec.testbed_keys import participant_config, saved_model

from .children import Participant

LOOPBACK = "127.0.0.1"


def participants_of(content: Mapping[str, Any], folder: Path) -> list[Participant]:
    """The child processes for a device file that :func:`local_device_file` made."""
    return [
        Participant(
            name=device["name"],
            role=device["role"],
            engine=device["engine"],
            launch=engine_argument(device["engine"], device["program"]),
            config=folder / PARTICIPANTS / device["name"] / CONFIG,
            out=folder / COLLECTED / device["name"],
            start_cpu_s=device["start_cpu_s"],
            address=f"{LOOPBACK}:{device['port']}" if device["role"] == "client" else "",
        )
        for device in content["devices"]
    ]


def local_device_file(content: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A device file for processes on loopback, with free ports, paths in the run folder and no limits."""
    local = copy.deepcopy(dict(content))
    ports = free_ports(len(local["devices"]))
    server = next(index for index, device in enumerate(local["devices"]) if device["role"] == "server")
    unlimited = Link().as_dict()
    for device, port in zip(local["devices"], ports, strict=True):
        name = device["name"]
        device.update(address=LOOPBACK, port=port, cpus=None, memory_bytes=None, network=None)
        device.pop("energy", None)  # a model of a device that computes as fast as its type
        device["link"] = {"up": unlimited, "down": unlimited}
        inputs = folder / PARTICIPANTS / name
        place = participant_config(
            device["role"],
            (LOOPBACK, port),
            (LOOPBACK, ports[server]),
            shard=str(inputs / SHARD),
            outputs=str(folder / COLLECTED / name),
            saves=saved_model(local["course"]["config"]),
            restores=str(inputs / INITIAL_MODEL) if local["course"].get("initial_model") else None,
        )
        device["config"] = {**device["config"], **place}
    return local


def free_ports(count: int) -> list[int]:
    """``count`` different loopback ports that nobody listens on."""
    with ExitStack() as stack:
        # All are held until all are known; otherwise the kernel may return the same port twice.
        holders = [stack.enter_context(socket.socket()) for _ in range(count)]
        for holder in holders:
            holder.bind((LOOPBACK, 0))
        return [holder.getsockname()[1] for holder in holders]
