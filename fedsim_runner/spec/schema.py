"""The experiment file's keys: types, limits, meaning. The JSON Schema and the reference page come from here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from ..agent.links import backends
from ..catalog.engines import engine_names
from ..catalog.entries import DeviceTypeEntry, Entry, LimitsEntry, ProfileEntry
from ..catalog.name_rules import NAME_MAX, NAME_PATTERN
from ..participant.federatedscope.names import PATCHES

DEVICES_MAX = 10_000
SECONDS_MAX = 7 * 24 * 3600
# What the participants' data sets can be; fedsim_runner.datasets has the loaders, a test holds the two equal.
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
    "async_updates",
]

Name = Annotated[str, Field(json_schema_extra={"pattern": NAME_PATTERN})]
Seconds = Annotated[float, Field(gt=0, le=SECONDS_MAX)]


def _name_or_number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise PydanticCustomError("column", "must be a column's name or its number")
    return value


Column = Annotated[str | int, BeforeValidator(_name_or_number)]


def _kind_of_network(value: Any) -> str:
    return "profile" if isinstance(value, dict) else "name"


class DeviceEntry(Entry):
    """One device, or `count` equal ones."""

    type: str = Field(description="Device type, from the catalogue or `device_types`.")
    name: Name | None = Field(
        default=None,
        description="The device's name, also its host name. With `count` above 1 the devices are `name-1` to `name-n`. "
        "Not given: the type's name.",
    )
    count: Annotated[int, Field(ge=1, le=DEVICES_MAX)] = Field(default=1, description="How many of these.")
    role: Literal["server", "client"] = Field(
        default="client", description="Part in the course. An experiment has exactly one server."
    )
    network: (
        Annotated[
            Annotated[str, Tag("name")] | Annotated[ProfileEntry, Tag("profile")], Discriminator(_kind_of_network)
        ]
        | None
    ) = Field(
        default=None,
        description="Network profile by name, or written out here. Not given: the device type's.",
    )
    engine: EngineName = Field(
        default="light",
        description="What runs the participant: our small engine without torch, or FederatedScope itself.",
    )
    overrides: LimitsEntry | None = Field(default=None, description="Limits that differ from the device type's.")


class NetworkSection(Entry):
    """Links: named profiles, and how they are applied."""

    profiles: dict[Name, ProfileEntry] = Field(
        default_factory=dict,
        description="Network profiles by name; one of the catalogue's names replaces that profile.",
    )
    backend: LinkBackendName = Field(
        default=backends.AUTO,
        description="How links are shaped. `auto` takes the best that the lab host's kernel can do.",
    )
    allow_unshaped: bool = Field(
        default=False, description="Go on, and say so, where the lab host cannot shape a link as asked."
    )


class CourseSection(Entry):
    """When a course is given up."""

    timeout: Seconds = Field(default=1800, description="Seconds for the whole course.")
    silence_timeout: Seconds = Field(
        default=120,
        description="Seconds without any news from a participant after which the course has failed. One that starts "
        "gets five seconds of its own CPU time in any case.",
    )
    on_client_failure: Literal["abort", "continue"] = Field(
        default="abort",
        description="What a lost client (exited, killed for its memory, silent for `silence_timeout`) means: `abort` "
        "ends the course with its name; `continue` goes on with the others as long as there are `min_clients`.",
    )
    min_clients: Annotated[int, Field(ge=1, le=DEVICES_MAX)] = Field(
        default=1, description="Fewest clients that a course goes on with; only with `on_client_failure: continue`."
    )
    round_deadline: Seconds | None = Field(
        default=None,
        description="Seconds after which the server aggregates what has arrived (at least one update). A straggler's "
        "late update is dropped, and it takes part again once it has answered. Not given: rounds wait for all.",
    )


class DataSection(Entry):
    """Which data the clients train on, and how it is split among them. The split follows from `seed`."""

    dataset: Dataset = Field(
        default="digits",
        description="Data set: one that a package bundles (see [data sets](#data-sets)), the user's own `csv` or "
        "`npz` files, or `federatedscope`: the one that `federatedscope.config.data` names.",
    )
    split: Literal["iid", "dirichlet", "quantity", "files"] = Field(
        default="iid",
        description="`iid`: equal random shares; `dirichlet`: each class is spread unevenly over the clients; "
        "`quantity`: uneven sizes, labels alike; `files`: each device has a file of its own in the folder `path`.",
    )
    alpha: Annotated[float, Field(ge=0.001, le=1_000_000)] | None = Field(
        default=None,
        description="Concentration of the Dirichlet distribution, smaller is more uneven; only with "
        "`split: dirichlet` (over the clients for each class) and `split: quantity` (over the clients' sizes), where "
        "it is 0.5 if not given.",
    )
    test_fraction: Annotated[float, Field(ge=0.01, le=0.9)] = Field(
        default=0.2,
        description="Share of the data set kept for the server's evaluation; of each client's file with "
        "`split: files`. Means nothing where the user's files bring the server's test set.",
    )
    layout: Literal["auto", "flat", "image"] = Field(
        default="auto",
        description="Shape of a sample: `flat` is one row of numbers, `image` its natural shape (channels, height, "
        "width). `auto`: flat for the models `lr` and `mlp`, natural for all others. It is the same for all devices; "
        "the light engine flattens what it gets.",
    )
    path: str | None = Field(
        default=None,
        description="The user's file, or with `split: files` the folder of `<device>.csv` or `<device>.npz`; needed "
        "with `csv` and `npz`, and only there.",
    )
    label: Column | None = Field(
        default=None,
        description="The label's column in CSV files: its name, or its number from 0, negative from the end. "
        "Not given: the last.",
    )
    header: bool | None = Field(
        default=None,
        description="Whether the first line of CSV files holds the columns' names. Not given: it does, and a first "
        "line of nothing but numbers is refused as unclear.",
    )


class FederatedScopeSection(Entry):
    """FederatedScope's own configuration, as a subtree or as a file; one of the two."""

    config: dict[str, Any] | None = Field(
        default=None,
        description="FederatedScope's configuration tree. `federate.total_round_num` is needed; what the testbed sets "
        "itself (`distribute`, `outdir`, `expname`, `data.file_path`, ...) is refused.",
    )
    config_file: str | None = Field(
        default=None, description="The same in a YAML file; a relative path starts at the experiment file."
    )
    source: str | None = Field(
        default=None,
        description="Where FederatedScope comes from, for devices with `engine: federatedscope`: a pip requirement, "
        "a git URL, or a local checkout (a path with a slash; a relative one starts at the experiment file).",
    )
    patches: dict[PatchName, bool] = Field(
        default_factory=dict,
        description="`false` runs FederatedScope without that patch, to see what it cures. Names: "
        + "; ".join(f"`{name}` ({symptom})" for name, symptom in PATCHES.items())
        + ".",
    )


class ExperimentFile(Entry):
    """One experiment: the devices, their links, the data and the course."""

    name: Name = Field(
        description=f"Name of the experiment: lower-case letters, digits and hyphens, at most {NAME_MAX}; starts every "
        "run's name."
    )
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = Field(
        default=0, description="Seed of everything random: the data split, initial models, client sampling."
    )
    devices: list[DeviceEntry] = Field(
        description=f"The devices: one server, at least one client, at most {DEVICES_MAX} in all."
    )
    device_types: dict[Name, DeviceTypeEntry] = Field(
        default_factory=dict, description="Device types by name; one of the catalogue's names replaces that type."
    )
    network: NetworkSection = Field(
        default_factory=NetworkSection, description="Network profiles and how links are shaped."
    )
    course: CourseSection = Field(default_factory=CourseSection, description="Limits of the course.")
    cpu_factor: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None,
        description="Factor on the cpus of every device, so that a run can be repeated on another lab. "
        "Not given: the largest up to 1 that fits the lab.",
    )
    data: DataSection = Field(default_factory=DataSection, description="Data set and split.")
    federatedscope: FederatedScopeSection = Field(description="FederatedScope's configuration and source.")
