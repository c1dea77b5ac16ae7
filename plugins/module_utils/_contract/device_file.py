"""The device file: all that a lab host has to know about a run, written next to the inventory and copied to the host.

Every reader uses this module, so that a file of another version is refused with a clear message and never misread.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, Literal

from .energy import EnergyModel
from .errors import Exit, FedsimError
from .file_names import fold_clients, fold_sites, unfold_names
from .json_lines import in_lines
from .link import Links
from .link_variation import Track, Variation
from .name_ranges import NameRangeError, fold
from .peer_ranges import Peer, dump_peers, load_peers
from .time_scale import Time, TimeScale
from .timeline import TimelineEntry
from .topology import Topology
from .typed_json import OMIT_DEFAULT, FormError, dump, load

VERSION: Final = 3
#: Versions 1 (fedsim-runner 0.1.0) and 2 also name a Docker network and its gateway. Version 1 has
#: ``federatedscope.mends_off`` for ``patches_off``.
SUPPORTED: Final = (1, 2, 3)

#: What a device may use of the disk if its file does not say it.
DISK_BYTES: Final = 1 << 30

Role = Literal["server", "client"]
Verify = Literal["warn", "strict", "sample", "off"]


class DeviceFileError(FedsimError, ValueError):
    """The device file cannot be used; the text says why and what to do."""

    exit = Exit.SPEC


@dataclass(frozen=True)
class Network:
    """The run's network: the IPv4 network of its addresses. Runs may use the same, as none reaches another."""

    subnet: str


@dataclass(frozen=True)
class InitialModel:
    """The model file that a server starts with, on the control node.

    Attributes:
        path: absolute.
        sha256: of the model as :func:`fedsim_runner.participant.model_file.write_model` writes it.
    """

    path: str
    sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class CourseSettings:
    """The course: its limits in seconds, its policies, and the configuration that all participants share.

    ``target``: the accuracy at which it ends early; None: it has all its rounds. ``clients_talk``: whether clients send
    messages to each other as well, and so have to find each other by name.
    """

    timeout_s: float
    silence_timeout_s: float
    on_client_failure: Literal["abort", "continue"] = "abort"
    min_clients: int = 1
    round_deadline_s: float | None = None
    round_quorum: float | None = None
    round_grace: float = 0.0
    target: float | None = None
    total_rounds: int
    server: str
    client_num: int
    clients_talk: bool = False
    initial_model: InitialModel | None = None
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """The data set and how it is split; see :class:`fedsim_runner.spec.experiment.DataSource`."""

    dataset: str
    split: str
    alpha: float
    test_fraction: float
    seed: int
    layout: str
    path: str | None = None
    label: str | int | None = None
    header: bool | None = None
    sha256: str | None = None
    rendered: str | None = None
    tree: Mapping[str, Any] | None = None
    targets: str = "auto"
    parts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FederatedScopeSettings:
    """The source of FederatedScope (None: no device uses it), the patches that are not applied to it, and the pip
    requirements of the user's own code in it."""

    source: str | None = None
    patches_off: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReferenceTime:
    """What one step of a reference takes on a device, in seconds; before a factor that slows all devices down.

    ``parts``: to how many parts it is equal that the participant times before the gate opens; None: it times none.
    ``corrects``: whether the device's limit is corrected by that; ``together``: by what all such devices of its lab
    host time, as the parts are other work than the step.
    """

    reference: str
    seconds: float
    parts: float | None = field(default=None, metadata=OMIT_DEFAULT)
    corrects: bool = field(default=False, metadata=OMIT_DEFAULT)
    together: bool = field(default=False, metadata=OMIT_DEFAULT)


@dataclass(frozen=True, kw_only=True)
class Device:
    """One device.

    Attributes:
        cpus: None: not limited; the same for ``memory_bytes``.
        disk_bytes: what it may use of the disk for its output folder and its console; not in files of 0.1.0.
        program: module of its engine, imported in the device; None: the launcher knows the engine by its name.
        start_cpu_s: CPU seconds within which its participant reports for the first time; not in files of version 1.
        least_pids: processes and threads that its engine needs, even if ``pids`` is lower.
        link: as it is when the gate opens.
        config: the part of the configuration that is this participant's alone.
        variation: how the link varies during the course; None: it does not.
        gpu_ids: its GPUs, as the Engine calls them; empty in earlier files, where ``gpus`` is their number.
        emulated: whether ``arch`` is another one than the lab host's on purpose.
        compute: what a reference step takes on it; None: it is nominal.
        energy: power figures of its type; None: there are none.
    """

    name: str
    type: str
    role: Role
    engine: str
    program: str | None = None
    index: int
    address: str
    port: int
    image: str
    cpus: float | None
    threads: int
    start_cpu_s: float = 30.0
    memory_bytes: int | None
    disk_bytes: int = DISK_BYTES
    pids: int
    least_pids: int = 0
    read_bps: int | None
    write_bps: int | None
    gpus: int
    arch: str
    network: str | None
    link: Links
    config: Mapping[str, Any]
    variation: Variation | None = field(default=None, metadata=OMIT_DEFAULT)
    gpu_ids: tuple[str, ...] = field(default=(), metadata=OMIT_DEFAULT)
    emulated: bool = field(default=False, metadata=OMIT_DEFAULT)
    compute: ReferenceTime | None = field(default=None, metadata=OMIT_DEFAULT)
    energy: EnergyModel | None = field(default=None, metadata=OMIT_DEFAULT)


@dataclass(frozen=True)
class LabMember:
    """A lab host that carries devices of the run, and the IPv4 address at which the other lab hosts reach it."""

    name: str
    address: str


@dataclass(frozen=True, kw_only=True)
class Lab:
    """The lab hosts of a run that has several.

    Attributes:
        hosts: all of them, in the order of their names; their agents talk to each other.
        server: the name of the one that carries the server; its clock is the run's.
        encrypt: whether what passes between lab hosts is encrypted.
    """

    hosts: tuple[LabMember, ...]
    server: str
    encrypt: bool = False


@dataclass(frozen=True, kw_only=True)
class DeviceFile:
    """One lab host's part of a run. ``peers`` is keyed by address; ``clients`` are those of the whole run, in order.

    In the file, all three name devices by ranges (:mod:`.name_ranges`, :mod:`.peer_ranges`), as do the sites of
    ``topology``.

    ``timeline``: that of the whole run. ``topology``: None: all devices are at one place, each behind its own link.
    ``tracks``: by name, those that variations of its devices and peers follow. ``lab``: None: the run has one lab host.
    ``time`` and ``time_factor``: in a dilated run, device seconds in a wall second. All other values are what the lab
    host has to put in force: in wall time, already scaled.
    ``expected_memory_bytes``: what its devices are expected to take of the lab host; 0: unknown. ``timing_s``: so long
    before the gate opens, devices of the run time their reference steps.
    """

    version: int = VERSION
    run: str
    experiment: str
    seed: int
    lab_host: str
    network: Network
    link_backend: str = "auto"
    congestion_control: str = "auto"
    allow_unshaped: bool = False
    verify: Verify = "warn"
    cpu_factor: float = 1.0
    time: Time = field(default="real", metadata=OMIT_DEFAULT)
    time_factor: float = field(default=1.0, metadata=OMIT_DEFAULT)
    course: CourseSettings
    data: DataSettings
    federatedscope: FederatedScopeSettings = field(default_factory=FederatedScopeSettings)
    dockerfile_roots: tuple[str, ...] = ()
    clients: tuple[str, ...]
    devices: tuple[Device, ...]
    peers: Mapping[str, Peer] = field(default_factory=dict)
    timeline: tuple[TimelineEntry, ...] = ()
    topology: Topology | None = field(default=None, metadata=OMIT_DEFAULT)
    tracks: Mapping[str, Track] = field(default_factory=dict, metadata=OMIT_DEFAULT)
    lab: Lab | None = field(default=None, metadata=OMIT_DEFAULT)
    expected_memory_bytes: int = field(default=0, metadata=OMIT_DEFAULT)
    timing_s: float = field(default=0.0, metadata=OMIT_DEFAULT)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], name: str = "device file") -> DeviceFile:
        """Return the device file with the content of a JSON file; ``name`` is what messages call it.

        Raises:
            DeviceFileError: it has another version, or is not of the expected form.
        """
        converted = convert_to_current_version(content, name)
        try:
            peers = load_peers(converted.pop("peers", {}))
            return replace(load(cls, converted), peers=peers)
        except FormError as error:
            raise DeviceFileError(f"{name} is damaged: {error}", hint=_HINT) from error

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON data, with each device by its name."""
        content: dict[str, Any] = dump(self)
        return content

    def as_text(self) -> str:
        """The file's text, with names in ranges."""
        content: dict[str, Any] = dump(replace(self, clients=(), peers={}, timeline=(), topology=None))
        content["clients"] = fold_clients(self.clients)
        content["peers"] = dump_peers(self.peers)
        content["timeline"] = [{**dump(one), "devices": fold(one.devices)} for one in self.timeline]
        if self.topology is not None:
            content["topology"] = {**dump(self.topology), "sites": fold_sites(self.topology.sites)}
        order = [one.name for one in fields(self) if one.name in content]
        ordered = {name: content[name] for name in order}
        if len(self.clients) > INDENTED_UP_TO_CLIENTS:
            return in_lines(ordered)
        return json.dumps(ordered, indent=1) + "\n"

    @property
    def time_scale(self) -> TimeScale:
        """How device time and wall time are related."""
        return TimeScale(self.time_factor)

    def of_run(self, run: str) -> DeviceFile:
        """Return the same file for another run id: an inventory may be run under other names."""
        return replace(self, run=run)


#: Files of larger runs are not indented throughout, which takes the encoder of the standard library much longer.
INDENTED_UP_TO_CLIENTS = 50
_HINT = "write it again with `fedsim-provision inventory`"


def read_device_file(path: str | Path, run: str | None = None) -> DeviceFile:
    """Return the device file at ``path``, for ``run`` if that is given.

    Raises:
        DeviceFileError: it is missing, unreadable, not JSON, or of another version or form.
    """
    name = f"device file {path}"
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        hint = "write it with `fedsim-provision inventory`"
        raise DeviceFileError(f"{name} cannot be read ({error.strerror})", hint=hint) from error
    except (ValueError, RecursionError) as error:
        raise DeviceFileError(f"{name} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise DeviceFileError(f"{name} is not a JSON object", hint=_HINT)
    found = DeviceFile.from_dict(content, name)
    return found if run is None or run == found.run else found.of_run(run)


def convert_to_current_version(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a device file's content with this version's keys and each name in full, but unchecked: for readers that
    accept damaged files. Peers stay as they are.

    Raises:
        DeviceFileError: it has another version, or a range of names that is none.
    """
    version = content.get("version")
    if version not in SUPPORTED or isinstance(version, bool):
        known = ", ".join(map(str, SUPPORTED))
        raise DeviceFileError(
            f"{name} has version {version}, and this fedsim-runner reads versions {known}", hint=_HINT
        )
    settings = content.get("federatedscope")
    if version == 1 and isinstance(settings, Mapping) and "mends_off" in settings:
        renamed = {"patches_off" if key == "mends_off" else key: value for key, value in settings.items()}
        content = {**content, "federatedscope": renamed}
    network = content.get("network")
    if version in (1, 2) and isinstance(network, Mapping):
        content = {**content, "network": {key: network[key] for key in network if key not in ("name", "gateway")}}
    try:
        return {**unfold_names(content), "version": VERSION}
    except NameRangeError as error:
        raise DeviceFileError(f"{name} is damaged: {error}", hint=_HINT) from error
