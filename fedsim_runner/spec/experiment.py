"""The values of an experiment, in one set of units.

Rates are bit/s, times microseconds unless a name ends in ``_s``, memory bytes, loss a probability in 0..1. Everything
here is frozen: a stage returns a new value and never changes its input.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..catalog.types import DeviceType, NetworkProfile
from ..contract.device_file import InitialModel, Verify
from ..contract.link_variation import Track
from ..contract.time_scale import Time
from ..contract.timeline import TimelineEntry
from ..contract.topology import Topology
from ..yamlfile.overrides import Override

Role = Literal["server", "client"]


@dataclass(frozen=True)
class Device:
    """One simulated machine of the experiment (counts are already expanded).

    ``config``: the part of FederatedScope's configuration that is this device's alone. ``entry``: its place in the
    file's list of devices, from 0. ``region``: None: the experiment has no regions. ``lab_host``: the one that carries
    it; None: any that has ``lab_labels``.
    """

    name: str
    type: DeviceType
    role: Role
    engine: str
    network: NetworkProfile
    config: Mapping[str, Any] = field(default_factory=dict)
    entry: int = 0
    region: str | None = None
    lab_host: str | None = None
    lab_labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CourseLimits:
    """When a course is given up (seconds in all, seconds without a report from a participant), and what follows from
    losing a client.

    ``round_deadline_s``: seconds after which a round is aggregated with what has arrived; None: it waits for all.
    ``round_quorum``: updates with which it is aggregated, a count from 1 on, else a share of the clients asked.
    ``round_grace``: for how long it then still waits for the others, as a multiple of what the quorum took.
    ``target``: the accuracy at which the course ends early, as finished; None: it has all its rounds.
    """

    timeout_s: float
    silence_timeout_s: float
    on_client_failure: Literal["abort", "continue"] = "abort"
    min_clients: int = 1
    round_deadline_s: float | None = None
    round_quorum: float | None = None
    round_grace: float = 0.0
    target: float | None = None

    @property
    def round_limits(self) -> tuple[str, ...]:
        """The keys of the file that may end a round before all have answered."""
        given = {"course.round_deadline": self.round_deadline_s, "course.round_quorum": self.round_quorum}
        return tuple(key for key, value in given.items() if value is not None)


@dataclass(frozen=True)
class DataSource:
    """Which data set is used and how it is split. ``alpha`` is the concentration of the Dirichlet distribution.

    ``layout``: one row per sample, an image, or its shape and kind of numbers as they are. ``targets``: whether labels
    are classes or numbers; ``auto``: numbers where not all are whole. For the user's own files (``csv`` and ``npz``):
    ``path`` is absolute, a folder for ``split: files``; ``label`` is the label's column (None: the last); ``header``
    whether the first line has names (None: it must be clear); ``sha256`` covers all files. ``rendered``: the
    ``participants`` folder of an earlier run of the same experiment, whose shards are used instead of the data.
    ``tree``: for data set ``federatedscope``, FederatedScope's ``data`` configuration with an absolute ``root``; it
    then also splits the data. ``parts``: what of them a device gets, where the file says so: ``data.file_path``, which
    is absolute, and ``distribute.data_idx`` as in FederatedScope's configuration, by the device's name.
    """

    dataset: str
    split: Literal["iid", "dirichlet", "quantity", "files"]
    alpha: float
    test_fraction: float
    layout: Literal["flat", "image", "kept"] = "flat"
    path: str | None = None
    label: str | int | None = None
    header: bool | None = None
    sha256: str | None = None
    rendered: str | None = None
    tree: Mapping[str, Any] | None = None
    targets: Literal["auto", "classes", "numbers"] = "auto"
    parts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """A checked experiment file. ``config`` is the user's FederatedScope tree without the testbed's keys, and without
    ``federate.restore_from``, which is ``initial_model``.

    ``time``: whose time all its times and rates are of. Dilated: that of the devices, which the plan's cpu factor
    relates to the lab hosts'. ``topology``: what lies between the devices besides their own links; None: nothing.
    ``tracks``: by name, what links of devices follow over time. ``requirements``: pip requirements of the user's own
    code in FederatedScope. ``notes``: what was decided for the user while the file was read.
    ``encrypt``: what devices on different lab hosts send to each other is encrypted.
    ``overrides``: values that options gave in place of the file's; they are in force in all other fields.
    """

    name: str
    seed: int
    devices: tuple[Device, ...]
    course: CourseLimits
    data: DataSource
    config: Mapping[str, Any]
    link_backend: str = "auto"
    congestion_control: str = "auto"
    encrypt: bool = False
    allow_unshaped: bool = False
    verify: Verify = "warn"
    timeline: tuple[TimelineEntry, ...] = ()
    cpu_factor: float | None = None
    time: Time = "real"
    placement: Literal["spread", "pack"] = "spread"
    federatedscope_source: str | None = None
    initial_model: InitialModel | None = None
    topology: Topology | None = None
    tracks: Mapping[str, Track] = field(default_factory=dict)
    patches_off: tuple[str, ...] = ()  # names from fedsim_runner.participant.federatedscope.patch_names.PATCHES
    requirements: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    overrides: tuple[Override, ...] = ()
    path: Path | None = None
    source: str = field(default="", repr=False)  # the file's text, for the run folder

    @property
    def server(self) -> Device:
        return next(device for device in self.devices if device.role == "server")

    @property
    def clients(self) -> tuple[Device, ...]:
        return tuple(device for device in self.devices if device.role == "client")

    @property
    def goes_offline(self) -> bool:
        """Whether devices go offline during the course, or are killed or started anew and come back."""
        return any(
            entry.action in ("offline", "restart") or (entry.action == "kill" and entry.duration_s is not None)
            for entry in self.timeline
        )

    @property
    def total_rounds(self) -> int:
        """``federate.total_round_num`` of the FederatedScope tree."""
        return int(self.config["federate"]["total_round_num"])
