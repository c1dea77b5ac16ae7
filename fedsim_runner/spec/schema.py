"""The experiment file's keys: types, limits, meaning. The JSON Schema and reference page are generated from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from ..agent.links import backends
from ..catalog.engines import engine_names
from ..catalog.entries import DeviceTypeEntry, Entry, Kbps, KindName, LimitsEntry, Milliseconds, ProfileEntry
from ..catalog.name_rules import NAME_MAX, NAME_PATTERN
from ..contract.congestion_control import AUTO
from ..contract.device_file import Verify
from ..participant.federatedscope.patch_names import PATCHES
from .availability.entries import AvailabilityEntry, Windows, availability_form
from .event_entries import EventEntry, Seconds

# As many as fit into the addresses of a run, with some in reserve.
DEVICES_MAX = 100_000
# The data sets an experiment can use; fedsim_runner.datasets has the loaders, and a test keeps the two in step.
Dataset = Literal[
    "digits", "iris", "wine", "breast_cancer", "mnist_5k", "image_segments", "phishing", "csv", "npz",
    "federatedscope",
]  # fmt: skip
DATASETS: tuple[str, ...] = get_args(Dataset)

if TYPE_CHECKING:
    LinkBackendName = str
    EngineName = str
else:
    EngineName = Literal[engine_names()]
    LinkBackendName = Literal[(backends.AUTO, *backends.names())]

PatchName = Literal[
    "busy_wait",
    "lost_join",
    "lost_message",
    "second_finish",
    "blocked_broadcast",
    "lean_imports",
    "log_addresses",
    "hostile_messages",
    "contrib_modules",
    "async_updates",
]

Name = Annotated[str, Field(json_schema_extra={"pattern": NAME_PATTERN})]


def _name_or_number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise PydanticCustomError("column", "must be a column's name or its number")
    return value


Column = Annotated[str | int, BeforeValidator(_name_or_number)]


def _choose_network_form(value: Any) -> str:
    return "profile" if isinstance(value, dict) else "name"


NetworkChoice = Annotated[
    Annotated[str, Tag("name")] | Annotated[ProfileEntry, Tag("profile")], Discriminator(_choose_network_form)
]


def _choose_host_form(value: Any) -> str:
    return "labels" if isinstance(value, dict) else "name"


LabLabel = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
LabHostChoice = Annotated[
    Annotated[str, Tag("name")] | Annotated[dict[LabLabel, LabLabel], Field(min_length=1), Tag("labels")],
    Discriminator(_choose_host_form),
]


class DeviceEntry(Entry):
    """One device, or `count` identical ones."""

    type: str = Field(description="Device type, from the catalogue or `device_types`.")
    name: Name | None = Field(
        default=None,
        description="The device's name, also its host name. With `count` above 1 the devices are `name-1` to `name-n`. "
        "Not given: the type's name, with hyphens in place of underscores.",
    )
    count: Annotated[int, Field(ge=1, le=DEVICES_MAX)] = Field(default=1, description="Number of such devices.")
    role: Literal["server", "client"] = Field(
        default="client", description="Role in the course. An experiment has exactly one server."
    )
    network: NetworkChoice | None = Field(
        default=None,
        description="Network profile by name, or written out here. Not given: the device type's.",
    )
    region: KindName | None = Field(
        default=None,
        description="The region that the device is in; with [`regions`](#regions), every device has one.",
    )
    lab_host: LabHostChoice | None = Field(
        default=None,
        description="The lab host that carries the device, by its name in the lab's inventory, or labels that it must "
        "have: `{site: berlin}`. Not given: any; see [placement](placement.md).",
    )
    engine: EngineName = Field(
        default="light",
        description="The engine that runs the participant: our small one without torch, or FederatedScope itself.",
    )
    available: (
        Annotated[
            Annotated[Windows, Tag("windows")] | Annotated[AvailabilityEntry, Tag("rule")],
            Discriminator(availability_form),
        ]
        | None
    ) = Field(
        default=None,
        description="When the device is online: windows `[[from, to], ...]` in seconds after the gate opened, or a "
        "rule. While it is offline, its link is cut and the server does not ask it; it keeps its process and its id. "
        "Not given: always. See [availability](availability.md).",
    )
    overrides: LimitsEntry | None = Field(default=None, description="Limits that differ from the device type's.")
    federatedscope: dict[str, Any] | None = Field(
        default=None,
        description="FederatedScope settings of these clients alone, in the form of `federatedscope.config`, which "
        "they override, and which part of FederatedScope's data is the device's; see "
        "[settings of one device](#device-settings).",
    )


class RegionEntry(Entry):
    """What lies between two regions, in both directions; it is enough to give it for one of the two."""

    latency_ms: Milliseconds = Field(
        description="One-way delay in milliseconds, on top of the delays of both devices' own links."
    )
    rate_kbps: Kbps | None = Field(
        default=None,
        description="Rate in kbit/s in each direction, which all packets between the two regions share. Not given: "
        "not limited.",
    )


class EdgeEntry(Entry):
    """An edge: its two devices are neighbours, in both directions."""

    between: Annotated[list[Name], Field(min_length=2, max_length=2)] = Field(
        description="Names of the two devices; with `count` above 1 those are `name-1` to `name-n`."
    )
    network: NetworkChoice | None = Field(
        default=None,
        description="What packets take between the two devices' own links: a network profile by name, or written out "
        "here; `up` is from the first to the second. Not given: nothing.",
    )


class TopologyEntry(Entry):
    """A topology of edges of your own."""

    edges: list[EdgeEntry] = Field(description="The pairs of devices that are neighbours.")


def _choose_topology_form(value: Any) -> str:
    return "edges" if isinstance(value, dict) else "shape"


class NetworkSection(Entry):
    """Links: named profiles, and how they are applied."""

    profiles: dict[KindName, ProfileEntry] = Field(
        default_factory=dict,
        description="Network profiles by name; a name from the catalogue replaces that profile.",
    )
    backend: LinkBackendName = Field(
        default=backends.AUTO,
        description="How links are shaped. `auto` chooses the best back end that the lab host's kernel supports.",
    )
    congestion_control: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,14}$")] = Field(
        default=AUTO,
        description="TCP's congestion control in all devices, by the kernel's name (`cubic`, `bbr`, `reno`): it "
        "decides how fast long or lossy links fill. `auto` is `cubic` if the lab host lets devices have it, or else "
        "the lab host's own; the report says which.",
    )
    allow_unshaped: bool = Field(
        default=False, description="Continue, with a note, if the lab host cannot shape a link as requested."
    )
    verify: Verify = Field(
        default="warn",
        description="What measuring the links before the course is for: `warn` notes links that are not as requested, "
        "`strict` ends the run before the course (exit code 6), `sample` measures the server, ten others and ten "
        "edges, and `off` measures nothing.",
    )


class CourseSection(Entry):
    """When a course is given up, and what happens with lost or slow clients."""

    timeout: Seconds = Field(default=1800, description="Seconds for the whole course.")
    silence_timeout: Seconds = Field(
        default=120,
        description="Seconds without any report from a participant after which the course has failed. A starting "
        "participant gets at least five seconds of its own CPU time.",
    )
    on_client_failure: Literal["abort", "continue"] = Field(
        default="abort",
        description="What happens when a client is lost (exited, killed for its memory, silent for `silence_timeout`): "
        "`abort` ends the course and names the client; `continue` goes on while there are `min_clients` others.",
    )
    min_clients: Annotated[int, Field(ge=1, le=DEVICES_MAX)] = Field(
        default=1, description="Minimum number of clients to continue with; only with `on_client_failure: continue`."
    )
    round_deadline: Seconds | None = Field(
        default=None,
        description="Seconds after which the server aggregates what has arrived (at least one update). A straggler's "
        "late update is dropped; having sent it, the straggler takes part again. Not given: rounds wait for all.",
    )
    round_quorum: Annotated[float, Field(gt=0, le=DEVICES_MAX)] | None = Field(
        default=None,
        description="How many updates are enough: a count (`8`), or a share of the clients asked in the round (`0.8`, "
        "rounded up). With them the server aggregates, whatever `round_deadline` says; later updates are dropped. "
        "Evaluations have no quorum. Not given: rounds wait for all. See [rounds](rounds.md).",
    )
    round_grace: Annotated[float, Field(ge=0, le=100)] = Field(
        default=0,
        description="For how long a round that has its quorum still waits for the others, as a multiple of the time "
        "that the quorum took: a deadline that follows arrivals. Only with `round_quorum`.",
    )
    target: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None,
        description="Accuracy at which the course ends early, as finished: the first evaluation (every `eval.freq` "
        "rounds) that reaches it on test data, else on validation data, is the last. `fedsim-provision run --target` "
        "sets it. Not given: the course has all its rounds.",
    )


class DataSection(Entry):
    """Which data the clients train on, and how it is split among them. The split is determined by `seed`."""

    dataset: Dataset = Field(
        default="digits",
        description="Data set: one bundled in a package (see [data sets](#data-sets)), your own `csv` or `npz` files, "
        "or `federatedscope`: the one that `federatedscope.config.data` names.",
    )
    split: Literal["iid", "dirichlet", "quantity", "files"] = Field(
        default="iid",
        description="`iid`: equal random shares; `dirichlet`: each class is spread unevenly over the clients; "
        "`quantity`: uneven sizes, similar labels; `files`: each device has its own file in the folder `path`.",
    )
    alpha: Annotated[float, Field(ge=0.001, le=1_000_000)] | None = Field(
        default=None,
        description="Concentration of the Dirichlet distribution, smaller is more uneven; only with "
        "`split: dirichlet` (over the clients for each class) and `split: quantity` (over the clients' sizes). "
        "Not given: 0.5.",
    )
    test_fraction: Annotated[float, Field(ge=0.01, le=0.9)] = Field(
        default=0.2,
        description="Share of the data set kept for the server's evaluation; with `split: files`, of each client's "
        "file. It has no effect if your files include the server's test set.",
    )
    layout: Literal["auto", "flat", "image", "kept"] = Field(
        default="auto",
        description="Shape of a sample: `flat` is one row of numbers, `image` its natural shape (channels, height, "
        "width), `kept` whatever shape your arrays have, and whole numbers stay whole numbers (text as numbers, for an "
        "embedding). `auto`: flat for the models `lr` and `mlp`, kept for `lstm` and `quadratic`, natural for all "
        "others. It is the same for all devices; the light engine flattens its samples.",
    )
    targets: Literal["auto", "classes", "numbers"] = Field(
        default="auto",
        description="What the labels of `csv` and `npz` files are: `classes`, or `numbers` to regress. `auto`: what "
        "`criterion.type` compares, `CrossEntropyLoss` classes and `MSELoss` numbers; with a loss of your own, and "
        "without one, numbers where not all are whole.",
    )
    path: str | None = Field(
        default=None,
        description="Your file, or with `split: files` the folder of `<device>.csv` or `<device>.npz`; required "
        "with `csv` and `npz`, and only allowed there.",
    )
    label: Column | None = Field(
        default=None,
        description="The label's column in CSV files: its name, or its number from 0, negative from the end. "
        "Not given: the last.",
    )
    header: bool | None = Field(
        default=None,
        description="Whether the first line of CSV files has the column names. Not given: it does, and a first line "
        "with only numbers is rejected as ambiguous.",
    )


class FederatedScopeSection(Entry):
    """FederatedScope's own configuration, either as a subtree or as a file, and where it is installed from. Without
    either, the clients train a [default course](#default-course)."""

    config: dict[str, Any] | None = Field(
        default=None,
        description="FederatedScope's configuration tree. `federate.total_round_num` is required; other values than "
        "the testbed's own for keys that it sets itself (`distribute`, `outdir`, `data.file_path`, ...) are rejected.",
    )
    config_file: str | None = Field(
        default=None,
        description="The same as a YAML file of FederatedScope's, unchanged: what the testbed sets itself is "
        "overridden there, with a note. A relative path starts at the experiment file's folder. What `config` gives "
        "beside it stands in place of the file's values, key by key.",
    )
    source: str | None = Field(
        default=None,
        description="Where FederatedScope comes from, for devices with `engine: federatedscope`: a pip requirement, "
        "a git URL, or a local checkout (a path with a slash; a relative one starts at the experiment file's folder).",
    )
    requirements: list[str] = Field(
        default_factory=list,
        description="What code of your own in FederatedScope's contrib folders needs besides its dependencies: pip "
        "requirements such as `einops==0.8.0`, or paths of requirements files (ending in `.txt`); see "
        "[packages](#requirements).",
    )
    patches: dict[PatchName, bool] = Field(
        default_factory=dict,
        description="`false` runs FederatedScope without that patch, to see what it fixes. Names: "
        + "; ".join(f"`{name}` ({symptom})" for name, symptom in PATCHES.items())
        + ".",
    )


class LabSection(Entry):
    """What the experiment requires of a lab of several hosts. The lab's inventory names these hosts: see
    [labs.md](labs.md)."""

    encrypt: bool = Field(
        default=False,
        description="Encrypt what devices on different lab hosts send to each other, with WireGuard of the lab hosts' "
        "kernels. All that have none are named, with what helps, before anything is made.",
    )


class ExperimentFile(Entry):
    """One experiment: the devices, their links, the data and the course."""

    name: Name = Field(
        description=f"Name of the experiment: lower-case letters, digits and hyphens, at most {NAME_MAX}; every "
        "run's name begins with it."
    )
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = Field(
        default=0, description="Seed of everything random: the data split, initial models, client sampling."
    )
    devices: list[DeviceEntry] = Field(
        description=f"The devices: one server, at least one client, at most {DEVICES_MAX} in all."
    )
    device_types: dict[KindName, DeviceTypeEntry] = Field(
        default_factory=dict, description="Device types by name; a name from the catalogue replaces that type."
    )
    network: NetworkSection = Field(
        default_factory=NetworkSection, description="Network profiles and how links are shaped."
    )
    network_profiles: dict[KindName, ProfileEntry] = Field(
        default_factory=dict,
        description="The same as `network.profiles`, with one rule of its own: a profile that gives a rate only for "
        "the uplink (`bandwidth_up_kbps`) applies it to both directions.",
    )
    topology: Annotated[
        Annotated[Literal["star", "ring", "mesh", "tree"], Tag("shape")] | Annotated[TopologyEntry, Tag("edges")],
        Discriminator(_choose_topology_form),
    ] = Field(
        default="star",
        description="Which devices are neighbours: only those reach each other, and clients reach the server over "
        "those in between. `star`: all; `mesh`: the same; `ring`: each device and the next in the file, from the "
        "server on; `tree`: a binary tree below the server, in the order of the file; or [edges](#topology) of your "
        "own. See [topologies.md](topologies.md).",
    )
    regions: dict[KindName, dict[KindName, RegionEntry]] = Field(
        default_factory=dict,
        description="How far regions are from each other: `eu: {us: {latency_ms: 45}}`. Each pair of regions "
        "with devices needs a latency; see [topologies.md](topologies.md).",
    )
    course: CourseSection = Field(default_factory=CourseSection, description="Limits of the course.")
    events: list[EventEntry] = Field(
        default_factory=list,
        description="What happens to devices and links during the course; see [events.md](events.md).",
    )
    time: Literal["real", "dilated"] = Field(
        default="real",
        description="The clock that all times and rates refer to. `real`: that of the lab hosts; `cpu_factor` slows "
        "down computing alone. `dilated`: that of the devices; the cpu factor scales links, limits and events as well, "
        "so that computing and sending keep their ratio ([time.md](time.md)).",
    )
    cpu_factor: Annotated[float, Field(gt=0, le=1000)] | None = Field(
        default=None,
        description="Factor applied to the cpus of every device, so that a run can be repeated on another lab. "
        "Not given: the largest factor up to 1 that fits the lab. Above 1, for devices that are faster than the lab's, "
        "only with `time: dilated`.",
    )
    lab: LabSection = Field(default_factory=LabSection, description="Requirements on a lab of several hosts.")
    placement: Literal["spread", "pack"] = Field(
        default="spread",
        description="How devices are divided among the lab hosts: `spread`: each to the one with the most "
        "cpus left; `pack`: onto as few as have enough. See [placement](placement.md).",
    )
    data: DataSection = Field(default_factory=DataSection, description="Data set and split.")
    federatedscope: FederatedScopeSection = Field(
        default_factory=FederatedScopeSection,
        description="FederatedScope's configuration and source. Not given: a [default course](#default-course).",
    )
