"""The largest packet that reaches each other lab host: what the routes say, and what gets there unfragmented."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping, Sequence

from fedsim_runner.contract.lab_network import LEAST_MTU, MTU, VXLAN_BYTES, WIREGUARD_BYTES

from .echo import Echo, Request

#: More is of no use: devices have no more than :data:`MTU`.
_MOST = MTU + VXLAN_BYTES + WIREGUARD_BYTES
#: Sizes between that and the least: common MTUs of tunnels, clouds and access networks, in the manner of RFC 1191.
_PLATEAUS = (1600, 1550, 1500, 1492, 1480, 1476, 1462, 1450, 1442, 1430, 1420, 1400, 1370, 1350, 1300, 1280, 1006, 626)
_IP_MTU_DISCOVER, _DO, _IP_MTU = 10, 2, 14
_WAIT_S = 0.5
_TRIES = 2


class UnreachableError(OSError):
    """No route leads to another lab host; the text names its address."""


def route_mtu(address: str) -> int:
    """The MTU of the route to an address, as far as the kernel knows it.

    Raises:
        UnreachableError: there is no route.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _DO)
        try:
            channel.connect((address, 9))
        except OSError as error:
            raise UnreachableError(error.errno, f"no route leads to {address} ({error.strerror})") from error
        return channel.getsockopt(socket.IPPROTO_IP, _IP_MTU)


def path_mtus(addresses: Sequence[str], wait_s: float = _WAIT_S) -> Mapping[str, int]:
    """The largest packet that reaches each address; that of the route where nobody answers.

    Args:
        wait_s: seconds for the answers to one size.

    Raises:
        UnreachableError: no route leads to one.
        OSError: the process may not send such packets.
    """
    found = {address: min(route_mtu(address), _MOST) for address in addresses}
    echo = Echo()
    try:
        reached = _largest(echo, [Request(address, size) for address, size in found.items()], wait_s)
        rest = [
            Request(address, size)
            for address in found.keys() - reached.keys()
            for size in _PLATEAUS
            if LEAST_MTU <= size < found[address]
        ]
        if rest:
            reached |= _largest(echo, rest, wait_s)
    finally:
        echo.close()
    return found | reached


def _largest(echo: Echo, requests: Iterable[Request], wait_s: float) -> dict[str, int]:
    """The largest of the requested sizes that each address answers."""
    found: dict[str, int] = {}
    left = list(requests)
    for _ in range(_TRIES):
        answered = echo.ask(left, wait_s)
        for request in answered:
            found[request.address] = max(request.bytes_, found.get(request.address, 0))
        left = [request for request in left if request not in answered]
        if not left:
            break
    return found
