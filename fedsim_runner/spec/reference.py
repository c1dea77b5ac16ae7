"""The reference page of the experiment file, generated from the models and the catalogue."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..catalog.data_sets import BUNDLED, CLIENT_TEST_SHARE, CLIENT_VAL_SHARE, MIN_SAMPLES
from ..catalog.load import load_catalog
from ..catalog.resolve import DEFAULT_PIDS, KILO, MEMORY_MB
from ..compute.values import Compute
from ..contract.device_file import DISK_BYTES
from ..contract.energy import EnergyModel
from ..contract.link import Link
from ..contract.paths import MODEL
from . import default_course
from .json_schema import json_schema
from .testbed_keys import USERS_DISTRIBUTE_PREFIX, owned_keys

# The parts of the file, in the order of the page.
_SECTIONS = (
    ("ExperimentFile", "Top level", None),
    ("DeviceEntry", "`devices[]`", "devices"),
    ("AvailabilityEntry", "`devices[].available` as a rule", "available"),
    ("LimitsEntry", "`devices[].overrides`", "limits"),
    ("DeviceTypeEntry", "`device_types.<name>`", "device-types"),
    ("ComputeEntry", "`device_types.<name>.compute`", "compute"),
    ("EnergyEntry", "`device_types.<name>.energy`", "energy"),
    ("NetworkSection", "`network`", "network"),
    ("ProfileEntry", "`network.profiles.<name>`, `network_profiles.<name>` and `devices[].network`", "profiles"),
    ("DirectionEntry", "`up` and `down` of a profile", "directions"),
    ("GilbertElliottEntry", "`gilbert_elliott` of a profile or direction", "losses-in-bursts"),
    ("QueueEntry", "`queue` of a profile or direction", "queues"),
    ("TopologyEntry", "`topology`", "topology"),
    ("EdgeEntry", "`topology.edges[]`", "edges"),
    ("RegionEntry", "`regions.<name>.<name>`", "regions"),
    ("TraceEntry", "`trace` of a profile", "trace"),
    ("LabSection", "`lab`", "lab"),
    ("CourseSection", "`course`", "course"),
    ("EventEntry", "`events[]`", "events"),
    ("WhenEntry", "`events[].when`", "when"),
    ("RandomEntry", "`events[].random`", "random"),
    ("LoadEntry", "`events[].load_kbps` by direction", "loads"),
    ("DataSection", "`data`", "data"),
    ("FederatedScopeSection", "`federatedscope`", "federatedscope"),
)
_LINKS = {name: anchor for name, _, anchor in _SECTIONS if anchor}

_INTRODUCTION = """\
<!-- Written by `python -m fedsim_runner.spec reference`, from the models in fedsim_runner/spec and the catalogue. -->

# The experiment file

One YAML file describes one experiment: devices, links, data and course. `examples/quickstart.yaml` is a complete one.
For completion and checks in an editor, make this its first line:

    # yaml-language-server: $schema=<path to docs/experiment.schema.json>

Rules that apply everywhere:

- Units are in the keys. `kbps` is kbit/s with 1 kbit = 1000 bit, `mb` of memory is 2^20 bytes, `ms` is milliseconds.
- Types are strict: `count: "3"` is a mistake, and so is an unknown key or a key without a value.
- Names (of the experiment and devices) are DNS labels of at most 40 characters: lower-case letters, digits and hyphens.
  Device names are host names and must be unique. Names of device types and profiles may also have underscores; a device
  without a name of its own then has hyphens there, and two types that differ only in that are a mistake.
- A type or profile that the file defines stands alone, even if its name is in the catalogue; with `based_on` it takes
  over the values that it does not give itself.
- Paths in the file are relative to the file's own folder.
- YAML: one document, UTF-8, no tags. Anchors and aliases work, merge keys (`<<`) in a `config_file` alone. Text that
  YAML 1.1 and 1.2 read differently (`yes`, `010`, `1_000`, `1:30`, dates) is rejected unless the key takes text.

All mistakes are listed together, one per line, and the exit code is 2:

    exp.yaml:7: devices[2].nework: unknown key (did you mean "network"?)
"""

_DATA = f"""\
Every client's share is split into training, validation ({CLIENT_VAL_SHARE:.0%}) and test ({CLIENT_TEST_SHARE:.0%}),
at least one sample each. If one data set is split among all, every client gets at least {MIN_SAMPLES} samples.
`dirichlet` is the label skew of Hsu, Qi and Brown (arXiv:1909.06335), `quantity` the quantity skew of Li and others
(arXiv:2102.02079). The table of labels by client is `participants/labels.json` in the run folder.

Your own files:

- `csv`: commas, UTF-8, numbers in every column except the label's, a name for every column: row numbers, which pandas
  writes without a name, are no feature. `npz`: arrays `x` and `y`, or `x_train`, `y_train`, `x_test`, `y_test`; no
  pickles. Values are used as they are: scale them to about 0..1 or -1..1.
- Classes become 0 to k-1 in sorted order: by number if all are whole numbers, otherwise by text.
- Numbers to regress (`targets`) stay as they are. `y` may have any shape: several numbers for each sample with
  `MSELoss` and its like, a class for each place or probabilities of the classes with `CrossEntropyLoss`.
  FederatedScope wants `model.task: regression` where a sample has more than one number.
- `x` may have any shape, too. Numbers with a fraction are single-precision; whole numbers become so as well, unless
  `layout` keeps them, which it does for the model `lstm`: text, one row of letters or words as numbers for each sample.
- `x_test` and `y_test` of a single file are the server's test set, and `test_fraction` has no meaning.
- `split: files`: a file `<client>.csv` or `<client>.npz` for each client. A client's own `x_test` and `y_test` are its
  test split. A file with the server's name is its test set (if it has `x_train` and `x_test`, the latter); without one,
  each client's file gives `test_fraction` of its samples to the server's test set.
- The content is fixed when the run is planned, and the run folder keeps every participant's share.

Data set `federatedscope`: `federatedscope.config.data` is the same as in standalone mode (`type`, `root`, `args`,
`transform`, `splitter`, `splitter_args`, `splits`, ...; a relative `root` starts at the experiment file's folder).
FederatedScope loads and splits it on the control node, when the participants' inputs are made, in the interpreter that
`federatedscope.python` of the user configuration names. That interpreter needs the packages that the data set needs,
and internet access if the set is not in `root`; the plan says so. Samples and labels are arrays of any shape, with the
very numbers that FederatedScope's own loader gives: `toy`, `quadratic`, `synthetic`, text and images, and `type: file`
for FederatedScope's pickles. `file_path`, which starts at the experiment file's folder as well, names one with the
data of all participants by number; or each device has [its own](#device-settings), a pickle of one participant's data
(`train`, `val` and `test` with `x` and `y`). The plan looks into a pickle without running what it may hold, and
FederatedScope reads it in that interpreter: use files that you trust. Random transforms are drawn once, when the
inputs are made. The server's test set is FederatedScope's own, or all clients' together. FederatedScope draws its
splits from its own seed; its splitter `iid` (v0.3.0) calls a function that NumPy does not have, but `lda` with a large
`alpha` amounts to the same.

Data of another kind, such as graphs, ratings, pairs of augmented images, or samples of several arrays that a data set
of your own in `contrib` yields, are given to the devices as FederatedScope makes them: its own objects, pickled on the
control node, from which each device builds the data loaders that standalone mode would give the worker, so that random
transforms are drawn anew in every epoch. All devices have `engine: federatedscope` then. Whether model, trainer and
data fit is FederatedScope's own business; how many samples and classes there are, and how large messages are, is not
known before the run, and no table or figure of labels is made. `data.layout` has no meaning. What the objects need on a
device (`torch-geometric` for graphs, `torch-sparse` for parts sampled from one, `torchvision` for pairs of images) is
named in [`requirements`](#requirements). The server has what FederatedScope gives it, which may be all clients' data; a
server without data of its own, as with sets of one graph for each client, cannot evaluate: `make_global_eval: false`.
Of one of torchvision's sets a client gets its own part; an object of another package may hold more than that. FedSage+,
GCFL+, FedGC and the heterogeneous tasks of ATC are refused: their servers compute with what arrives as text or lists.

With a vertical split (`adult`, `abalone`, `credit`, `blog`, or a set of your own) each client has other features of the
same samples. FederatedScope's trees run (`vertical: {{use: true, algo: xgb}}`, or `gbdt`, `rf`), where all clients have
equally many features and nothing is encrypted; one tree is one round. Clients send messages to each other then, and a
client that is lost ends the course.

<a id="data-sets"></a>

Data sets bundled in packages; nothing is downloaded at run time. Standardised: each feature has mean 0 and variance
1 over the whole set, because one learning rate does not fit features of very different scales.
"""


_DEVICE_SETTINGS = """\
<a id="device-settings"></a>

Settings of one device are what FederatedScope's option `--client_cfg` is for in standalone mode:

    - {type: smartphone-low, count: 3, federatedscope: {train: {optimizer: {lr: 0.05}}}}

Only clients have them, with either engine. What holds for the whole course (`federate`, `aggregator`, `asyn`,
`eval.freq`, `personalization.local_param`, ...) and what the testbed sets is a mistake there, and so is another `model`
than the others', unless the configuration's `personalization.local_param` names the parts that stay on each device. A
section `client_1` in FederatedScope's configuration is a mistake whose hint says at which device it belongs;
`fedsim-provision init MY.FS.YAML --client-cfg FILE` writes an experiment file with all of them. The plan lists the
devices that have settings of their own. With `federate.method: local` nothing is averaged, so models may differ.

With data set `federatedscope`, a device may say which part of the data is its own, as each participant's YAML does in
FederatedScope's distributed mode, also the server:

    - {name: server, type: edge-server, role: server, federatedscope: {data: {file_path: data/server_data}}}
    - {type: smartphone-low, federatedscope: {data: {file_path: data/client_1_data}}}
    - {type: smartphone-high, federatedscope: {distribute: {data_idx: 3}}}

`data.file_path` is a file of its own with `data.type: file`, `distribute.data_idx` the number of its part of a data set
or of a file with the data of all. Without them the server has part 0 and the clients have parts 1, 2 and so on, in the
order of the devices. `fedsim-provision init SERVER.YAML CLIENT_1.YAML ...` writes the experiment file from one YAML per
participant: the server's is the `config_file`, a client's other settings go to its device, and what contradicts the
server's is named.
"""

_DEFAULT_COURSE = """\
<a id="default-course"></a>

Without `config` and `config_file` the course is this one, and the plan says so. `model.out_channels` is the number of
classes in the data. Data set `federatedscope` has no default course, as the configuration names the data.
"""

_PACKAGES = """\
<a id="requirements"></a>

Your own code belongs in the `contrib` folders of a checkout that `source` names. Each of its modules is found,
whatever another one lacks; the log names those that cannot be imported and why. A name whose module imports a package
that the images do not have is refused before anything is built. What it needs besides FederatedScope's own
dependencies is listed in `requirements`: pip resolves the list once on the control node, with this user's own
configuration and within the versions that the image has (`dockerfiles/torch`), and the wheels go into the image of the
engine. Another list, or another version in it, makes another image. Without Docker nothing is installed: the
interpreter must have them.
"""


def _describe_owned_keys() -> str:
    keys = []
    for owned in owned_keys(seed=0, clients=None):
        value = owned.described or owned.value
        shown = str(value).lower() if isinstance(value, bool) else value
        keys.append(f"`{'.'.join(owned.path)}`" + ("" if value is None or value == "" else f" ({shown})"))
    text = (
        "The testbed sets these keys itself: "
        f"{', '.join(keys)}, and all of `distribute` except `distribute.{USERS_DISTRIBUTE_PREFIX}*`. `verbose` must "
        "be at least 1, because the course is followed by its log lines. "
        "All other keys of FederatedScope's `data` are only for data set `federatedscope`: with any other, nothing "
        "reads them. In `config`, the same value or FederatedScope's default may be given, any other is a mistake. A "
        "`config_file` was not written for the testbed: such values, and folders and numbers of clients that do not "
        "fit, are overridden, and a note in the plan lists them. So the YAML that ran in standalone mode, and the "
        "config.yaml that a run collected, can be named as they are. Outdated keys that FederatedScope still reads, "
        "such as `data.batch_size`, are moved there as it does; so are keys of older versions that have only another "
        "place now, such as `optimizer.lr`, which is `train.optimizer.lr`, and those that nothing reads any more are "
        "left out. With both keys, `config` counts where the two differ, "
        "as what follows `--cfg FILE` on FederatedScope's command line; lists are replaced as a whole."
    )
    paragraphs = (text, _SWITCHES, _MODEL_FILES)
    return (
        "\n\n".join(textwrap.fill(one, 119, break_long_words=False, break_on_hyphens=False) for one in paragraphs)
        + "\n"
    )


_SWITCHES = (
    "Switches of standalone mode mean nothing between processes. `federate.online_aggr` and "
    "`federate.share_local_model` are removed, with a note, where the course is the same without them; "
    "`federate.merge_test_data` becomes `federate.make_global_eval`. If FederatedScope's server evaluates, "
    "`eval.best_res_update_round_wise_key` is test_loss instead of FederatedScope's default val_loss, because the "
    "server has test data only. A `config_file` for a search for hyperparameters (`hpo`) is one course with the file's "
    "other values, as FederatedScope's main.py runs it; [sweeps.md](sweeps.md) has what searches here. Which of "
    "FederatedScope's own experiments plan, and why others do not: "
    "[federatedscope-support.md](federatedscope-support.md)."
)
_MODEL_FILES = (
    "With either engine the server writes the global model after its last round to the file `federate.save_to` (a "
    f"name; a folder in front of it is dropped; default {MODEL}), which the run folder then has in "
    "`collected/<server>/`. `federate.restore_from` is a model file with which the server starts, relative to the "
    "experiment file's folder: [python.md](python.md#the-global-model)."
)


def reference() -> str:
    """Write the page as Markdown."""
    schema = json_schema()
    entries: dict[str, Any] = {"ExperimentFile": schema, **schema["$defs"]}
    parts = [_INTRODUCTION]
    for name, title, anchor in _SECTIONS:
        entry = entries[name]
        heading = f"## {title}\n" if anchor is None else f'<a id="{anchor}"></a>\n\n## {title}\n'
        parts.append(f"{heading}\n{entry['description']}\n")
        parts.append(_format_table(("key", "value", "default", "meaning"), _make_rows(entry)))
        if name == "DataSection":
            parts += _list_data_sets()
        if name == "DeviceEntry":
            parts.append(_DEVICE_SETTINGS)
        if name == "FederatedScopeSection":
            course = textwrap.indent(default_course.TEXT, "    ")
            parts += [_describe_owned_keys(), f"{_DEFAULT_COURSE}\n{course}", _PACKAGES]
        if name == "DeviceTypeEntry":
            parts.append(
                f"Defaults of a type without `based_on`: `pids` is {DEFAULT_PIDS}, `gpus` is 0, "
                f"`disk_mb` is {DISK_BYTES // MEMORY_MB}.\n"
            )
    parts += _list_catalogue()
    return "\n".join(parts)


def _make_rows(entry: Mapping[str, Any]) -> Iterable[Sequence[str]]:
    required = entry.get("required", ())
    for key, value in entry["properties"].items():
        default = "required" if key in required else _describe_default(value)
        yield f"`{key}`", describe_value(value), default, value.get("description", "")


def _describe_default(value: Mapping[str, Any]) -> str:
    if "default" not in value or isinstance(value["default"], dict | list):
        return ""
    shown = value["default"]
    return f"`{str(shown).lower() if isinstance(shown, bool) else shown}`"


def describe_value(value: Mapping[str, Any], many: bool = False) -> str:
    """What a key takes, such as `list of numbers > 0`; ``many``: in the plural, as what is in a list."""
    forms = _alternatives(value, many)
    # Without a comma, what follows `list of numbers` would be in the list as well.
    comma = "," if any(" of " in form for form in forms[:-1]) else ""
    return f"{', '.join(forms[:-1])}{comma} or {forms[-1]}" if len(forms) > 1 else forms[0]


def _alternatives(value: Mapping[str, Any], many: bool) -> list[str]:
    for options in ("oneOf", "anyOf"):
        if options in value:
            return [form for option in value[options] for form in _alternatives(option, many)]
    if "enum" in value:
        return [f"`{choice}`" for choice in value["enum"]]
    if value.get("type") == "boolean":
        return ["`true`", "`false`"]
    return [_describe_one_form(value, many)]


def _describe_one_form(value: Mapping[str, Any], many: bool) -> str:
    plural = "s" if many else ""
    if "$ref" in value:
        name = value["$ref"].rsplit("/", 1)[-1]
        return f"[mapping{plural}](#{_LINKS[name]})"
    if "const" in value:
        return f"`{value['const']}`"
    if value.get("pattern"):
        return f"name{plural}"
    kind = value.get("type")
    if kind == "array":
        length = f"{value['minItems']} " if value.get("maxItems") == value.get("minItems", 0) else ""
        return f"list{plural} of {length}{describe_value(value['items'], many=True)}"
    if kind == "object":
        below = [value.get("additionalProperties"), *value.get("patternProperties", {}).values()]
        values = next((one for one in below if isinstance(one, dict)), None)
        return f"mapping{plural}" + (f" of names to {describe_value(values, many=True)}" if values else "")
    shown = {"integer": f"whole number{plural}", "number": f"number{plural}", "string": "text"}[str(kind)]
    limits = [
        f"{sign} {value[key]:,}".replace(",", " ")
        for key, sign in (("exclusiveMinimum", ">"), ("minimum", ">="), ("exclusiveMaximum", "<"), ("maximum", "<="))
        if key in value
    ]
    return f"{shown} {', '.join(limits)}".strip()


def _list_catalogue() -> list[str]:
    catalog = load_catalog()
    types = [
        (
            f"`{name}`",
            f"{value.cpus:g}",
            f"{value.memory_bytes // MEMORY_MB}",
            value.arch,
            str(value.gpus),
            str(value.pids),
            f"`{value.network}`",
            _describe_compute(value.compute),
            _describe_energy(value.energy),
            catalog.device_type_entries[name].source or "",
        )
        for name, value in catalog.device_types.items()
    ]
    profiles = [
        (
            f"`{name}`",
            *(_describe_direction(link) for link in (value.up, value.down)),
            catalog.profile_entries[name].source or "",
        )
        for name, value in catalog.profiles.items()
    ]
    return [
        "## Catalogue: device types\n",
        _format_table(
            ("type", "cpus", "memory_mb", "arch", "gpus", "pids", "network", "compute", "energy", "source"), types
        ),
        "## Catalogue: network profiles\n\nRate, one-way delay and jitter, loss, for each direction.\n",
        _format_table(("profile", "up", "down", "source"), profiles),
    ]


def _describe_compute(compute: Compute | None) -> str:
    if compute is None:
        return "nominal"
    return f"`{compute.reference}` {compute.seconds:.3g} s: {compute.source}"


def _describe_energy(energy: EnergyModel | None) -> str:
    if energy is None:
        return ""
    radio = f", {energy.joules_per_megabyte_up:g} J/MB up, {energy.joules_per_megabyte_down:g} down"
    return f"{energy.idle_watts:g} W idle, {energy.active_watts:g} W active{radio}: {energy.source}"


def _list_data_sets() -> list[str]:
    rows = [
        (
            f"`{name}`",
            facts.title + (", standardised" if facts.standardised else ""),
            str(facts.samples),
            str(len(facts.classes)),
            " x ".join(map(str, facts.shape)),
            facts.install or "",
            f"{facts.source}; {facts.licence}",
        )
        for name, facts in BUNDLED.items()
    ]
    columns = ("data set", "what", "samples", "classes", "shape", "pip install", "source, licence")
    return [_DATA, _format_table(columns, rows)]


def _describe_direction(link: Link) -> str:
    rate = "not limited" if link.rate_bps is None else f"{link.rate_bps // KILO} kbit/s"
    return f"{rate}, {link.delay_us / KILO:g} ms ± {link.jitter_us / KILO:g} ms, {link.loss:g}"


def _format_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
