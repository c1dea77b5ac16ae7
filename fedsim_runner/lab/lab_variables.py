"""What an inventory says about a lab host for fedsim-runner: the variables ``fedsim_*``, checked."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ..catalog.suggestions import suggestion
from ..contract.paths import STATE_ROOT
from ..contract.units import GB, MB

#: GPUs of one host, if their number is given: more is a slip of the pen.
GPUS_MAX: Final = 1024
#: Those that describe a host, or that plays read and expect in a certain form, each with what it holds; docs/labs.md
#: says the same.
HOST_VARIABLES: Final = {
    "fedsim_labels": "labels that experiment files ask for, as {site: north}: both sides are text (numbers in quotes) "
    "of letters, digits, dots, dashes and underscores",
    "fedsim_cpus": "how many cpus runs may use, a number above 0",
    "fedsim_memory": "how much memory runs may use, as 16GB or 512MB",
    "fedsim_gpus": f"GPUs that runs may use: how many, up to {GPUS_MAX}, or a list of their numbers, from 0",
    "fedsim_lab_address": "the IPv4 address at which the other hosts reach it",
    "fedsim_processor": "a name for how fast its processor is, a text that all equally fast hosts have in common",
    "fedsim_lab_port": "a UDP port from 1 to 65534; with `lab.encrypt` the next one is used",
    "fedsim_registry": "a registry without a scheme, as registry.example:5000/team",
    "fedsim_state_root": "the path of a folder for runs alone on the lab host, from / on",
}
#: Others that plays read, which may be set for a host or a group as well.
PLAY_VARIABLES: Final = frozenset(
    {
        "fedsim_become",
        "fedsim_dockerfiles",
        "fedsim_engines",
        "fedsim_federatedscope_source",
        "fedsim_gather_s",
        "fedsim_images_all",
        "fedsim_measure_links",
        "fedsim_device_file",
        "fedsim_devices",
        "fedsim_docker_host",
        "fedsim_image_base",
        "fedsim_keep",
        "fedsim_run",
        "fedsim_run_dir",
    }
)
_MEMORY: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([MG])i?B?", re.IGNORECASE)
_LABEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_REGISTRY: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?(/[a-z0-9][a-z0-9._-]*)*/?")


@dataclass(frozen=True)
class HostSettings:
    """What is stated about a host; 0, None and empty: nothing, so what its probe finds counts.

    Attributes:
        gpu_ids: as the Engine calls them.
        state_root: the folder of the runs' state folders there.
        processor: by which calibrations are kept.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    cpus: float = 0.0
    memory_bytes: int = 0
    gpu_ids: tuple[str, ...] = ()
    lab_address: str | None = None
    state_root: Path = STATE_ROOT
    processor: str = ""


def host_settings(variables: Mapping[str, Any]) -> tuple[HostSettings, list[str]]:
    """Return what the variables of a host state, and a sentence for each mistake."""
    mistakes = [*_unknown(variables)]
    found: dict[str, Any] = {}
    for name, value in variables.items():
        if name not in HOST_VARIABLES:
            continue
        try:
            found |= _READERS[name](value)
        except (TypeError, ValueError, OverflowError):
            mistakes.append(f"{name} is {_shown(value)}, and must be {HOST_VARIABLES[name]}")
    return HostSettings(**found), mistakes


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


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
    # By number alone, as the probe finds them: under a second name a GPU could be given twice.
    if isinstance(value, list):
        numbers = [_whole(one) if isinstance(one, str | int) and not isinstance(one, bool) else -1 for one in value]
        if not numbers or len(set(numbers)) < len(numbers) or not all(0 <= one < GPUS_MAX for one in numbers):
            raise ValueError
        return {"gpu_ids": tuple(map(str, numbers))}
    number = _whole(value)
    if not 0 < number <= GPUS_MAX:
        raise ValueError
    return {"gpu_ids": tuple(map(str, range(number)))}


def _lab_address(value: Any) -> dict[str, Any]:
    address = ipaddress.IPv4Address(value if isinstance(value, str) else "")
    if address.is_loopback or address.is_unspecified or address.is_multicast:
        raise ValueError
    return {"lab_address": str(address)}


def _processor(value: Any) -> dict[str, Any]:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError
    return {"processor": value.strip()}


def _lab_port(value: Any) -> dict[str, Any]:
    if not 0 < _whole(value) < 65535:
        raise ValueError
    return {}  # plays read it


def _registry(value: Any) -> dict[str, Any]:
    # Without a name images are shipped, as without the variable.
    if not isinstance(value, str) or (value and not _REGISTRY.fullmatch(value)):
        raise ValueError
    return {}  # plays read it


def _state_root(value: Any) -> dict[str, Any]:
    # All folders in it are runs: it is one of its own.
    if not isinstance(value, str) or not re.match(r"//*[^/]", value) or not value.isprintable():
        raise ValueError
    return {"state_root": Path(value)}


def _whole(value: Any) -> int:
    # INI inventories may have texts.
    return 0 if isinstance(value, bool | float) else int(value)


_READERS: Final = {
    "fedsim_labels": _labels,
    "fedsim_cpus": _cpus,
    "fedsim_memory": _memory,
    "fedsim_gpus": _gpus,
    "fedsim_lab_address": _lab_address,
    "fedsim_processor": _processor,
    "fedsim_lab_port": _lab_port,
    "fedsim_registry": _registry,
    "fedsim_state_root": _state_root,
}
