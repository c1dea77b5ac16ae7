"""What an inventory says about a lab host for fedsim-runner: the variables ``fedsim_*``, checked."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ..catalog.suggestions import suggestion
from ..contract.units import GB, MB

#: Those that describe a host, each with what it holds; docs/labs.md says the same.
HOST_VARIABLES: Final = {
    "fedsim_labels": "labels that experiment files ask for, as {site: north}",
    "fedsim_cpus": "how many cpus runs may use, a number above 0",
    "fedsim_memory": "how much memory runs may use, as 16GB or 512MB",
    "fedsim_gpus": "GPUs that runs may use: their number, or a list of their ids",
    "fedsim_lab_address": "the IPv4 address at which the other hosts reach it",
}
#: Those that plays read, which may be set for a host or a group as well.
PLAY_VARIABLES: Final = frozenset(
    {
        "fedsim_become",
        "fedsim_dockerfiles",
        "fedsim_engines",
        "fedsim_federatedscope_source",
        "fedsim_gather_s",
        "fedsim_images_all",
        "fedsim_lab_port",
        "fedsim_measure_links",
        "fedsim_registry",
        "fedsim_device_file",
        "fedsim_devices",
        "fedsim_docker_host",
        "fedsim_image_base",
        "fedsim_keep",
        "fedsim_run",
        "fedsim_run_dir",
        "fedsim_state_root",
    }
)
_MEMORY: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([MG])i?B?", re.IGNORECASE)
_LABEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class HostSettings:
    """What is stated about a host; 0, None and empty: nothing, so what its probe finds counts.

    Attributes:
        gpu_ids: as the Engine calls them.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    cpus: float = 0.0
    memory_bytes: int = 0
    gpu_ids: tuple[str, ...] = ()
    lab_address: str | None = None


def host_settings(variables: Mapping[str, Any]) -> tuple[HostSettings, list[str]]:
    """Return what the variables of a host state, and a sentence for each mistake."""
    mistakes = [*_unknown(variables)]
    found: dict[str, Any] = {}
    for name, value in variables.items():
        if name not in HOST_VARIABLES:
            continue
        try:
            found |= _READERS[name](value)
        except ValueError:
            mistakes.append(f"{name} is {value!r}, and must be {HOST_VARIABLES[name]}")
    return HostSettings(**found), mistakes


def _unknown(variables: Mapping[str, Any]) -> Iterator[str]:
    known = [*HOST_VARIABLES, *PLAY_VARIABLES]
    for name in variables:
        if name.startswith("fedsim_") and name not in known:
            near = suggestion(name, known, or_all=False)
            yield f"unknown variable {name}" + (f" ({near})" if near else "")


def _labels(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError
    for name, text in value.items():
        if not (isinstance(name, str) and isinstance(text, str) and _LABEL.fullmatch(name) and _LABEL.fullmatch(text)):
            raise ValueError
    return {"labels": dict(value)}


def _cpus(value: Any) -> dict[str, Any]:
    # INI inventories have texts.
    cpus = 0.0 if isinstance(value, bool) else float(value)
    if not 0 < cpus < float("inf"):
        raise ValueError
    return {"cpus": cpus}


def _memory(value: Any) -> dict[str, Any]:
    found = _MEMORY.fullmatch(value.strip()) if isinstance(value, str) else None
    size = 0 if found is None else int(float(found[1]) * (GB if found[2] in "gG" else MB))
    if size <= 0:
        raise ValueError
    return {"memory_bytes": size}


def _gpus(value: Any) -> dict[str, Any]:
    if isinstance(value, list):
        ids = tuple(str(one) for one in value)
        if any(isinstance(one, bool) or not isinstance(one, str | int) for one in value) or len(set(ids)) < len(ids):
            raise ValueError
        return {"gpu_ids": ids}
    number = 0 if isinstance(value, bool | float) else int(value)
    if number <= 0:
        raise ValueError
    return {"gpu_ids": tuple(map(str, range(number)))}


def _lab_address(value: Any) -> dict[str, Any]:
    address = ipaddress.IPv4Address(value if isinstance(value, str) else "")
    if address.is_loopback or address.is_unspecified or address.is_multicast:
        raise ValueError
    return {"lab_address": str(address)}


_READERS: Final = {
    "fedsim_labels": _labels,
    "fedsim_cpus": _cpus,
    "fedsim_memory": _memory,
    "fedsim_gpus": _gpus,
    "fedsim_lab_address": _lab_address,
}
