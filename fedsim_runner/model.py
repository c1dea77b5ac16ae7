"""The values that flow through the program: what an experiment asks for, in one set of units.

Rates are bit/s, times microseconds, memory bytes, loss a probability in 0..1. Everything here is frozen: a stage
returns a new value and never changes the one it was given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Role = Literal["server", "client"]
Engine = Literal["light", "federatedscope"]
LinkBackend = Literal["auto", "netem", "userspace"]


@dataclass(frozen=True)
class Link:
    """One direction of a device's link. ``rate_bps`` None: not limited. Delay is one way."""

    rate_bps: int | None = None
    delay_us: int = 0
    jitter_us: int = 0
    loss: float = 0.0


@dataclass(frozen=True)
class NetworkProfile:
    """A named link: ``up`` is the device's egress, ``down`` its ingress."""

    name: str
    up: Link
    down: Link


@dataclass(frozen=True)
class DeviceType:
    """A hardware class. ``dockerfile``: its folder under dockerfiles/, or the absolute path of one of the user's."""

    name: str
    cpus: float
    memory_bytes: int
    arch: str  # Docker's names: amd64, arm64
    gpus: int
    pids: int
    network: str
    dockerfile: str
    read_bps: int | None = None  # block I/O, bytes per second
    write_bps: int | None = None


@dataclass(frozen=True)
class Device:
    """One simulated machine of the experiment (counts are already expanded)."""

    name: str
    type: DeviceType
    role: Role
    engine: Engine
    network: NetworkProfile


@dataclass(frozen=True)
class CourseLimits:
    """When a course is given up (seconds in all, seconds without a participant's news) and what a lost client means.

    ``round_deadline_s``: seconds after which a round is aggregated with what has arrived; None: it waits for all.
    """

    timeout_s: float
    silence_timeout_s: float
    on_client_failure: Literal["abort", "continue"] = "abort"
    min_clients: int = 1
    round_deadline_s: float | None = None


@dataclass(frozen=True)
class DataSource:
    """Which data set is split how. ``alpha`` is Dirichlet's concentration.

    ``layout``: one row per sample, or its natural shape. Of the user's own files (data sets ``csv`` and ``npz``):
    ``path`` is absolute, a folder for ``split: files``; ``label`` is the label's column (None: the last); ``header``
    whether the first line has names (None: it must be clear); ``sha256`` is over all files. ``rendered``: the
    ``participants`` folder of an earlier run of the same experiment, whose shards are used instead of the data.
    ``tree``: for data set ``federatedscope`` its own ``data`` configuration, ``root`` absolute; it then splits, too.
    """

    dataset: str
    split: Literal["iid", "dirichlet", "quantity", "files"]
    alpha: float
    test_fraction: float
    layout: Literal["flat", "image"] = "flat"
    path: str | None = None
    label: str | int | None = None
    header: bool | None = None
    sha256: str | None = None
    rendered: str | None = None
    tree: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Experiment:
    """A checked experiment file. ``config`` is the user's FederatedScope tree without what the testbed owns."""

    name: str
    seed: int
    devices: tuple[Device, ...]
    course: CourseLimits
    data: DataSource
    config: Mapping[str, Any]
    link_backend: LinkBackend = "auto"
    allow_unshaped: bool = False
    cpu_factor: float | None = None
    federatedscope_source: str | None = None
    mends_off: tuple[str, ...] = ()  # of fedsim_runner.participant.federatedscope.names.MENDS
    path: Path | None = None
    source: str = field(default="", repr=False)  # the file's text, for the run folder

    @property
    def server(self) -> Device:
        return next(device for device in self.devices if device.role == "server")

    @property
    def clients(self) -> tuple[Device, ...]:
        return tuple(device for device in self.devices if device.role == "client")

    @property
    def total_rounds(self) -> int:
        """``federate.total_round_num`` of the FederatedScope tree."""
        return int(self.config["federate"]["total_round_num"])


@dataclass(frozen=True)
class LabHost:
    """What placement needs to know of a lab host. ``networks`` are IPv4 networks in use there, as text."""

    name: str
    cpus: float
    memory_bytes: int
    arch: str
    networks: tuple[str, ...] = ()
    gpus: int = 0
    connection: Literal["local", "ssh"] = "local"
    address: str | None = None


@dataclass(frozen=True)
class PlacedDevice:
    """A device on its lab host: its address and the limits it really gets."""

    device: Device
    lab_host: str
    address: str
    port: int
    cpus: float  # after the common factor
    threads: int
    gpus: int
    index: int  # 0 for the server, 1..n for clients; also FederatedScope's data_idx


@dataclass(frozen=True)
class Plan:
    """Everything the inventory is written from."""

    experiment: Experiment
    run: str
    lab_hosts: tuple[LabHost, ...]
    placed: tuple[PlacedDevice, ...]
    cpu_factor: float
    network_name: str
    subnet: str
    gateway: str
    notes: tuple[str, ...] = ()  # what the user should know: over-commit, missing GPU, arch not emulated
