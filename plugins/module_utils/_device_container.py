"""A device as the Engine's container configuration."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._contract import congestion_control
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.compute_threads import thread_variables
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.names import KIND_DEVICE, LABEL_INPUTS, labels
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.paths import (
    CONFIG,
    DEVICE_GATE,
    DEVICE_INPUTS,
    DEVICE_OUTPUTS,
    StateFolder,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.records import engine_argument
from ansible_collections.fedsim.testbed.plugins.module_utils._cpu_limit import STARTING_CPU_SHARES
from ansible_collections.fedsim.testbed.plugins.module_utils._device_users import ENVIRONMENT

#: Scratch space of a device; counts against its memory, as any tmpfs does.
TMPFS = {"/tmp": "rw,noexec,nosuid,nodev,size=16m,mode=1777"}
#: Bounded, so that a device that logs without end cannot fill the lab host's disk.
LOG_CONFIG = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "1"}}
#: Options that the Engine drops where the kernel lacks a feature, and its name for that feature.
NEEDED_OF_ENGINE = {
    "CpuPeriod": "CpuCfsPeriod",
    "CpuQuota": "CpuCfsQuota",
    "CpuShares": "CPUShares",
    "Memory": "MemoryLimit",
    "MemorySwap": "SwapLimit",
    "PidsLimit": "PidsLimit",
}


class Settings:
    """Settings that all device containers of one lab host share.

    Attributes:
        addresses: those of the whole run's devices, by name.
        users: the uids of this lab host's devices, by name.
    """

    def __init__(
        self,
        content: dict[str, Any],
        state_dir: str,
        images: dict[str, str],
        addresses: Mapping[str, str],
        users: Mapping[str, int],
        engine: dict[str, Any],
    ) -> None:
        self.content = content
        self.run: str = content["run"]
        self.state_dir = state_dir
        self.images = images
        self.addresses = addresses
        self.users = users
        self.dropped = {option for option, flag in NEEDED_OF_ENGINE.items() if engine.get(flag) is False}
        requested = content.get("congestion_control", congestion_control.AUTO)
        chosen = congestion_control.read_congestion_controls().choose(requested)
        self.sysctls = {} if chosen is None else {congestion_control.SYSCTL: chosen}
        self.docker_root: str = engine.get("DockerRootDir", "/var/lib/docker")


def build_device_container(settings: Settings, device: dict[str, Any], disk: str | None) -> dict[str, Any]:
    """Body of the Engine's create call for a device. ``disk`` is the block device that its I/O limits apply to."""
    name = device["name"]
    state = StateFolder(Path(settings.state_dir))
    host: dict[str, Any] = {
        # Only the weight: a quota would throttle the runtime's own start (0.40 s in place of 0.17 s at 0.01 cores).
        "CpuShares": STARTING_CPU_SHARES,
        "Memory": device["memory_bytes"],
        # Equal to the memory limit: no swap on top of it.
        "MemorySwap": device["memory_bytes"],
        "PidsLimit": compute_pids_limit(device),
        "BlkioDeviceReadBps": build_io_limit(disk, device["read_bps"]),
        "BlkioDeviceWriteBps": build_io_limit(disk, device["write_bps"]),
        "CapDrop": ["ALL"],
        "CapAdd": None,
        "SecurityOpt": ["no-new-privileges"],
        "ReadonlyRootfs": True,
        "Tmpfs": TMPFS,
        "Binds": [
            f"{state.gate}:{DEVICE_GATE}:ro",
            f"{state.inputs(name)}:{DEVICE_INPUTS}:ro",
            f"{state.outputs(name)}:{DEVICE_OUTPUTS}:rw",
        ],
        "ExtraHosts": list_known_hosts(settings, name),
        # The agent connects it to the run's network.
        "NetworkMode": "none",
        "Sysctls": settings.sysctls,
        "LogConfig": LOG_CONFIG,
        "RestartPolicy": {"Name": "no"},
        "DeviceRequests": build_gpu_request(device),
    }
    return {
        "Image": settings.images[device["image"]],
        "Hostname": name,
        "User": f"{settings.users[name]}:{settings.users[name]}",
        "Cmd": [
            "python3",
            "-m",
            "fedsim_runner.participant",
            "--engine",
            engine_argument(device["engine"], device.get("program")),
            "--config",
            f"{DEVICE_INPUTS}/{CONFIG}",
            "--gate",
            DEVICE_GATE,
            "--out",
            DEVICE_OUTPUTS,
        ],
        "Env": [*ENVIRONMENT, *(f"{key}={value}" for key, value in thread_variables(device["threads"]).items())],
        "Labels": {
            **labels(settings.run, KIND_DEVICE, settings.content["lab_host"], settings.state_dir, name),
            LABEL_INPUTS: digest_inputs(state.inputs(name)),
        },
        "HostConfig": {option: value for option, value in host.items() if option not in settings.dropped},
    }


def list_known_hosts(settings: Settings, name: str) -> list[str]:
    """A device's /etc/hosts, as there is no resolver: a participant looks up itself and whom it sends messages to."""
    course = settings.content["course"]
    server = course["server"]
    known = settings.addresses if name == server or course.get("clients_talk") else (name, server)
    return [f"{other}:{settings.addresses[other]}" for other in known if other in settings.addresses]


def build_gpu_request(device: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The device's GPUs as the Engine writes them: by number or UUID, in files of earlier versions how many."""
    if not device["gpus"]:
        return None
    ids = list(device.get("gpu_ids") or ())
    count = 0 if ids else device["gpus"]
    return [{"Driver": "", "Count": count, "DeviceIDs": ids or None, "Capabilities": [["gpu"]], "Options": {}}]


def compute_pids_limit(device: dict[str, Any]) -> int:
    """The device type's limit, but at least what the threads of its engine need."""
    return max(int(device["pids"]), int(device.get("least_pids") or 0))


def digest_inputs(folder: Path) -> str:
    """Digest of a device's input files: a container that has read others must be created again."""
    digest = hashlib.sha256()
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def build_io_limit(disk: str | None, rate: int | None) -> list[dict[str, Any]] | None:
    """A block I/O limit as the Engine writes it; ``rate`` in bytes per second."""
    return [{"Path": disk, "Rate": rate}] if disk and rate else None


def find_block_device(folder: str) -> str | None:
    """Path of the whole disk that holds ``folder``, found by following the kernel's own links; None if there is none.

    Limits apply to whole disks: the kernel refuses partitions.
    """
    try:
        number = Path(folder).stat().st_dev
        link = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve(strict=True)
    except OSError:
        return None
    if (link / "partition").exists():
        link = link.parent
    path = Path("/dev") / link.name
    return str(path) if path.is_block_device() else None
