"""The run's bridge carries no address of the lab host: participants reach each other and nothing else."""

from __future__ import annotations

import json
import re

from fedsim_runner.contract.names import LABEL_RUN

from ..host import programs
from ..host.docker_api import Docker, DockerError


def remove_bridge_addresses(docker: Docker, network: str, run: str) -> list[str]:
    """Remove the IPv4 addresses from the bridge of the run's own network; return those that were there.

    A network created with ``com.docker.network.bridge.inhibit_ipv4`` has none.
    """
    try:
        detail = docker.network(network)
    except DockerError:
        return []
    if detail.get("Driver") != "bridge" or (detail.get("Labels") or {}).get(LABEL_RUN) != run:
        return []
    bridge = (detail.get("Options") or {}).get("com.docker.network.bridge.name") or f"br-{detail['Id'][:12]}"
    if not re.fullmatch(r"[\w.-]{1,15}", bridge):
        return []
    try:
        shown = json.loads(programs.run(["ip", "-json", "-4", "address", "show", "dev", bridge]) or "[]")
    except programs.CommandError:
        return []
    removed = []
    for entry in shown:
        for address in entry.get("addr_info", ()):
            text = f"{address['local']}/{address['prefixlen']}"
            programs.run(["ip", "address", "del", text, "dev", bridge])
            removed.append(text)
    return removed
