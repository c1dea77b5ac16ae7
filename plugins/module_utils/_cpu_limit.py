"""A device's CPU limit at the Engine: as options, compared, set by its update call after the start, and tried."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._batch import DeviceFailedError
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.cpu_limit import LEAST_CPUS, limit_to
from ansible_collections.fedsim.testbed.plugins.module_utils._difference import Differences
from ansible_collections.fedsim.testbed.plugins.module_utils._docker import APIError, NotFound, explain, inspect_or_none

#: Weights against other containers where cores are short: a device that starts must not slow the course of another run.
STARTING_CPU_SHARES = 128
CPU_SHARES = 1024
#: What helps where the Engine refuses the call.
LET_UPDATE_THROUGH = (
    "let its call `POST /containers/{id}/update` through: an authorization plugin or a proxy of its socket may forbid "
    "it, and runtimes other than runc may lack it"
)


def build_cpu_limit(
    cpus: float, dropped: Collection[str] = (), time_factor: float = 1.0, device: str | None = None
) -> dict[str, int]:
    """The CPU options of a running device; ``dropped`` are options that the kernel cannot hold.

    ``time_factor``: device seconds in a wall second; ``device``: its name.
    """
    limit = limit_to(cpus, time_factor, device)
    options = {"CpuPeriod": limit.period_us, "CpuQuota": limit.quota_us, "CpuShares": CPU_SHARES}
    return {option: value for option, value in options.items() if option not in dropped}


def compare_cpu_limit(found: Mapping[str, Any], want: Mapping[str, int], differences: Differences) -> bool:
    """Record where the CPU options of an inspected container differ from ``want``; return whether they do."""
    host = found["HostConfig"]
    return bool([option for option, value in want.items() if differences.compare(option, host.get(option) or 0, value)])


def set_cpu_limit(client: Any, container: str, options: Mapping[str, int]) -> None:
    """Give a running container its CPU limit, and read it back; one that has ended meanwhile is left alone.

    Raises:
        DeviceFailedError: the Engine refuses the limit, or does not have it afterwards.
    """
    try:
        _update(client, container, options)
    except APIError as error:
        found = inspect_or_none(client, container)
        if found is None or not found["State"]["Running"]:
            return
        raise DeviceFailedError(f"its CPU limit cannot be set: {explain(error)}", hint=LET_UPDATE_THROUGH) from error
    found, left = inspect_or_none(client, container), Differences()
    if found is not None and compare_cpu_limit(found, options, left):
        shown = ", ".join("{item} is {before}, not {after}".format(**entry) for entry in left.items)
        raise DeviceFailedError(f"its CPU limit is not in force: {shown}", hint=LET_UPDATE_THROUGH)


def try_update(client: Any) -> str | None:
    """Try the update call on a container that does not exist; return why it cannot be used, or None if it can."""
    try:
        _update(client, secrets.token_hex(32), build_cpu_limit(LEAST_CPUS))
    except NotFound as error:
        # From the Engine itself; something in between that does not know the call answers otherwise.
        return None if "no such container" in explain(error).lower() else explain(error)
    except APIError as error:
        return explain(error)
    return "it knows a container that does not exist"


def _update(client: Any, container: str, options: Mapping[str, int]) -> None:
    client.update_container(
        container,
        cpu_period=options.get("CpuPeriod"),
        cpu_quota=options.get("CpuQuota"),
        cpu_shares=options.get("CpuShares"),
    )
