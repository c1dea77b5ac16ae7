"""The same work on all lab hosts at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from fedsim_runner.lab.host import LabHost

from ..values import UnreachableError

T = TypeVar("T")
# Each is a connection over ssh, which costs this machine a process.
AT_ONCE = 32


def over_hosts(
    hosts: Sequence[LabHost], work: Callable[[LabHost], T]
) -> tuple[dict[str, T], Mapping[str, UnreachableError]]:
    """What ``work`` returns for each host, and why it returns nothing for those that do not answer; by host name."""
    found: dict[str, T] = {}
    silent: dict[str, UnreachableError] = {}

    def attempt(host: LabHost) -> T | UnreachableError:
        try:
            return work(host)
        except UnreachableError as error:
            return error

    with ThreadPoolExecutor(min(AT_ONCE, max(1, len(hosts)))) as pool:
        # In the hosts' order, whichever answers first.
        for host, answer in zip(hosts, pool.map(attempt, hosts), strict=True):
            if isinstance(answer, UnreachableError):
                silent[host.name] = answer
            else:
                found[host.name] = answer
    return found, silent
