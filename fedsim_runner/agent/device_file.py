"""What the agent reads from the run's device file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..contract.link import Link
from .links import backends
from .links.profile import DeviceLink, Profile


@dataclass(frozen=True)
class DeviceFile:
    """One lab host's part of a run."""

    link_backend: str
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
    start_cpu_s: dict[str, float]
    links: Profile


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
    backend = data.get("link_backend", backends.AUTO)
    known = [backends.AUTO, *backends.names()]
    if backend not in known:
        raise ValueError(f"link_backend: {backend!r} is none of {', '.join(known)}")
    seed = int(data.get("seed") or 0)
    links = [_link(device["name"], device["address"], device["link"]) for device in data["devices"]]
    peers = [_link(peer["device"], address, peer["link"]) for address, peer in (data.get("peers") or {}).items()]
    return DeviceFile(
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
        {device["name"]: float(device.get("start_cpu_s") or 0) for device in data["devices"]},
        Profile(links, peers, seed),
    )


def _link(name: str, address: str, link: dict[str, Any]) -> DeviceLink:
    return DeviceLink(name, address, Link.of(link["up"]), Link.of(link["down"]))
