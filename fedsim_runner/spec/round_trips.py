"""Clients that no kernel connects to their server, because the answers come too late."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..contract.link_variation import Track
from ..contract.routes import routes_to_server
from ..contract.slow_links import CONNECTS_WITHIN_S, round_trip_s, slowest
from ..contract.topology import Topology
from ..yamlfile.document import Document
from .experiment import Device
from .schema import DeviceEntry
from .traces.means import links_during


def check_round_trips(
    devices: Sequence[Device],
    tracks: Mapping[str, Track],
    topology: Topology | None,
    entries: Sequence[DeviceEntry | None],
    document: Document,
) -> None:
    """Report each entry of the list of devices whose round trip to the server takes too long.

    ``tracks``: what links follow over time.
    """
    server = next((device for device in devices if device.role == "server"), None)
    if server is None:
        return
    routes = routes_to_server(
        server.name, {device.name: slowest(links_during(device.network, tracks)) for device in devices}, topology
    )
    too_long: dict[int, float] = {}
    for device in devices:
        route = routes.get(device.name)
        seconds = 0.0 if route is None else round_trip_s(route)
        if seconds >= CONNECTS_WITHIN_S:
            too_long[device.entry] = max(seconds, too_long.get(device.entry, 0.0))
    for number, seconds in too_long.items():
        entry = entries[number]
        named = entry is not None and entry.network is not None
        document.report(
            ("devices", number, "network") if named else ("devices", number),
            f"a round trip to the server takes {seconds:g} s, so nothing connects: a kernel forgets a connection "
            "that is not confirmed within a minute",
            f"latencies {'of both devices' if topology is None else 'on the way'}, there and back, must be below "
            f"{CONNECTS_WITHIN_S * 1000:g} ms together",
        )
