"""What the agent reads from the run's device file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .links.plan import DeviceLink, Link


@dataclass(frozen=True)
class DeviceFile:
    """One lab host's part of a run."""

    seed: int
    link_backend: Literal["auto", "netem", "userspace"]
    allow_unshaped: bool
    network: str
    timeout_s: float
    silence_timeout_s: float
    go_on: bool
    min_clients: int
    total_rounds: int
    roles: dict[str, Literal["server", "client"]]
    cpus: dict[str, float]
    memory_bytes: dict[str, int | None]
    engines: dict[str, str]
    links: tuple[DeviceLink, ...]
    peers: tuple[DeviceLink, ...]


def load(path: Path) -> DeviceFile:
    """Read it.

    Raises:
        OSError, ValueError, KeyError: it is missing or not a device file.
    """
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    course = data["course"]
    roles: dict[str, Literal["server", "client"]] = {
        device["name"]: "server" if device["role"] == "server" else "client" for device in data["devices"]
    }
    backend = data.get("link_backend", "auto")
    if backend not in ("auto", "netem", "userspace"):
        raise ValueError(f"link_backend: {backend!r} is none of auto, netem, userspace")
    return DeviceFile(
        int(data.get("seed") or 0),
        backend,
        bool(data.get("allow_unshaped")),
        data["network"]["name"],
        float(course["timeout_s"]),
        float(course["silence_timeout_s"]),
        course.get("on_client_failure", "abort") == "continue",
        int(course.get("min_clients") or 1),
        int(course["total_rounds"]),
        roles,
        {device["name"]: float(device["cpus"]) for device in data["devices"]},
        {device["name"]: device.get("memory_bytes") for device in data["devices"]},
        {device["name"]: str(device.get("engine", "light")) for device in data["devices"]},
        tuple(_link(device["name"], device["address"], device["link"]) for device in data["devices"]),
        tuple(_link(peer["device"], address, peer["link"]) for address, peer in (data.get("peers") or {}).items()),
    )


def _link(name: str, address: str, link: dict[str, Any]) -> DeviceLink:
    return DeviceLink(name, address, Link.of(link["up"]), Link.of(link["down"]))
