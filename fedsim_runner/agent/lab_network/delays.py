"""How long packets are under way between lab hosts: measured on the run's own network, as devices' packets take it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fedsim_runner.contract.device_file import LabMember
from fedsim_runner.contract.lab_network import LabNetworkError

from .echo import Echo, Request

_SMALL_BYTES = 84
_PROBES, _EVERY_S = 24, 0.01
_ANSWER_S = 0.25
#: Seconds within which another lab host has to answer: it joined a moment ago.
REACHED_S = 5.0


@dataclass(frozen=True)
class Reached:
    """One way to another lab host, in microseconds: half of the shortest round trip of some tens."""

    lab_host: str
    one_way_us: int


def measure(
    members: Sequence[LabMember], own: Mapping[str, str], mtu: int, ports: Mapping[str, int], within_s: float
) -> list[Reached]:
    """Measure the way to lab hosts, in the calling thread's namespace: the run's.

    Args:
        members: the lab hosts.
        own: the address of each on the run's network, by name.
        mtu: of the run's devices.
        ports: UDP port at which each receives, by name; for messages.
        within_s: seconds in which each has to answer for the first time.

    Raises:
        LabNetworkError: one does not answer, or not to packets of full size.
    """
    echo = Echo()
    try:
        small = [Request(own[one.name], _SMALL_BYTES) for one in members]
        silent = _unanswered(echo, small, within_s)
        if silent:
            raise LabNetworkError(
                f"what this lab host sends to {_name(silent, members, own, ports)} does not come back",
                hint="let the lab hosts' firewalls pass that port between them",
            )
        full = [Request(own[one.name], mtu) for one in members]
        silent = _unanswered(echo, full, 4 * _ANSWER_S)
        if silent:
            raise LabNetworkError(
                f"packets of {mtu} bytes do not reach {_name(silent, members, own, ports)}, though small ones do",
                hint="lower the MTU of the lab hosts' interfaces to what lies between them",
            )
        shortest: dict[str, float] = {}
        for _ in range(_PROBES):
            for request, seconds in echo.ask(small, _ANSWER_S).items():
                shortest[request.address] = min(seconds, shortest.get(request.address, seconds))
            time.sleep(_EVERY_S)
    finally:
        echo.close()
    return [Reached(one.name, round(shortest[own[one.name]] * 1e6 / 2)) for one in members if own[one.name] in shortest]


def _unanswered(echo: Echo, requests: Sequence[Request], within_s: float) -> list[Request]:
    """Ask again and again; return what has not been answered once."""
    left = list(requests)
    deadline = time.monotonic() + within_s
    while left:
        answered = echo.ask(left, _ANSWER_S)
        left = [request for request in left if request not in answered]
        if time.monotonic() >= deadline:
            break
    return left


def _name(
    silent: Sequence[Request], members: Sequence[LabMember], own: Mapping[str, str], ports: Mapping[str, int]
) -> str:
    addresses = {request.address for request in silent}
    return "lab host " + ", ".join(
        f"{one.name} ({one.address}, UDP port {ports[one.name]})" for one in members if own[one.name] in addresses
    )
