"""An experiment file around a FederatedScope YAML, or one per participant: devices, data and links for a course."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..catalog.data_sets import FEDERATEDSCOPE
from ..catalog.name_rules import NAME_MAX
from ..contract.errors import Exit, FedsimError
from ..engines.federatedscope.other_data import clients_of, lacking, other_data
from ..lab.host import LabHost
from ..spec.device_data import data_of, without_data
from ..spec.device_settings import take_client_sections
from ..spec.experiment import Experiment
from ..spec.older_keys import move_older_keys
from ..spec.schema import DEVICES_MAX
from ..spec.testbed_keys import FILES_OF_THE_USER
from ..yamlfile.document import Document, parse, read_text
from ..yamlfile.dump import dump_line
from ..yamlfile.spec_errors import SpecErrors
from .named_source import source_to_write
from .participant_yamls import Brought, read_participants
from .planning import make_plan_or_refuse
from .stand_in import MadeUp, stand_in

SUFFIXES = (".fs.yaml", ".fs.yml", ".yaml", ".yml")
# A first run should fit any machine; more clients are a number in the file.
CLIENTS_MAX = 10
CLIENTS_DEFAULT = 4
SERVER = {"name": "server", "type": "edge-server", "role": "server", "engine": "federatedscope",
          "overrides": {"cpus": 2, "memory_mb": 2048, "gpus": 0}}  # fmt: skip
CLIENT_KINDS: tuple[dict[str, Any], ...] = (
    {"type": "smartphone-high", "engine": "federatedscope", "overrides": {"gpus": 0}},
    {"type": "smartphone-low", "engine": "federatedscope"},
)
# Sections of MHFL's for --client_cfg.
_SHARE = re.compile(r"type_[0-9]+")
# Data sets that FederatedScope makes itself.
_MADE = ("toy", "quadratic")


@dataclass(frozen=True)
class NewExperiment:
    """The text of an experiment file, the configuration that it names, and what its reader should know of it.

    ``made_up``: data that it names, by the path where they are expected.
    """

    text: str
    config: Path
    remarks: tuple[str, ...]
    made_up: Mapping[Path, MadeUp]


def default_output(config: Path) -> Path:
    """The file in the current folder that is written where none is named; it is not the configuration itself."""
    path = Path(f"{_stem(config)}.yaml")
    return Path(f"{_stem(config)}.exp.yaml") if path.resolve() == config.resolve() else path


def experiment_around(
    configs: Sequence[Path],
    client_cfg: Path | None,
    clients: int | None,
    folder: Path,
    source: str | None = None,
) -> NewExperiment:
    """Write the experiment file for a configuration of FederatedScope.

    Args:
        configs: the configuration, which the file names; or one for each participant, the clients in their order.
        client_cfg: settings of single clients, as FederatedScope takes them; None: there are none.
        clients: number of clients; None: the configuration's, as far as a first run should have them.
        folder: where the experiment file will be.
        source: the FederatedScope that the configuration is for; None: the one in use, or the checkout that has it.

    Raises:
        SpecErrors: a file cannot be read as YAML, or files contradict each other.
        FedsimError: a file is not of its kind, or ``source`` is no source.
    """
    brought = _read_all(configs) if len(configs) > 1 else _read_one(configs[0], client_cfg)
    tree = brought.tree
    data = tree["data"] if isinstance(tree.get("data"), Mapping) else {}
    asked = _number(tree["federate"].get("client_num")) or clients_of(data) or 0
    count = len(brought.files) or max(clients or _first_count(asked, tree["federate"]), *brought.own, 1)
    if count > DEVICES_MAX:
        raise FedsimError(f"{count} clients are more than {DEVICES_MAX}", Exit.SPEC)
    remarks = [*brought.remarks]
    if clients is None and not brought.files and count < asked:
        remarks.append(f"{count} of its {asked} clients, for a first run: --clients {asked}, or `count` in the file")
    seed = tree.get("seed")
    named = os.path.relpath(brought.config, folder)
    kind = other_data(tree, data)
    # No bundled set could stand in for graphs or ratings.
    absent = _absent(data, folder, bool(brought.files)) if kind is None else None
    section: dict[str, Any] = {"config_file": named}
    server, own = brought.server, brought.own
    dataset: dict[str, Any] = {"dataset": FEDERATEDSCOPE}
    made_up: dict[Path, MadeUp] = {}
    why = ""
    if absent is None:
        section |= {"config": dict(brought.over)} if brought.over else {}
        remarks += brought.of_data
    else:
        found = stand_in(tree, count + 1)
        if isinstance(found, MadeUp):
            path = folder / f"{_stem(brought.config)}.stand-in.npz"
            dataset, made_up = {"dataset": "npz", "path": path.name}, {path: found}
            why = f"made-up data, {found}, {f'in place of {absent}' if absent else 'as the model takes them'}"
        else:
            dataset = {"dataset": found}
            why = f"data set {found} in place of {absent}" if absent else ""
        if server or any(map(data_of, own.values())):
            why = f"{why}, and have init write again which part each device gets"
        server, own = {}, {number: without_data(settings) for number, settings in own.items()}
    if (from_where := source_to_write(source, brought.config, folder)) is not None:
        section["source"] = from_where
        remarks.append(f"FederatedScope is that of {_one_line(from_where)}")
    if kind is not None and (packages := lacking(kind, tree, ())):
        section["requirements"] = packages
        remarks.append(f"devices train on {kind} with {', '.join(packages)}: write the version that you use")
    if why:
        remarks.append(why)
    of_server = {**SERVER, "federatedscope": dict(server)} if server else SERVER
    files = ["", *(f"  # {_one_line(path.name)}" for path in brought.files)] if brought.files else itertools.repeat("")
    lines = [
        f"# Written by `fedsim-provision init`, around {_one_line(named)}.",
        *(f"# {_one_line(remark)}" for remark in remarks),
        f"name: {dump_line(_experiment_name(brought.config))}",
        *([f"seed: {seed}"] if type(seed) is int and 0 <= seed < 2**31 else []),
        "devices:",
        *(
            f"  - {dump_line(device)}{file}"
            for device, file in zip((of_server, *_clients(count, own)), files, strict=False)
        ),
        f"data: {dump_line(dataset)}",
        f"federatedscope: {dump_line(section)}",
    ]
    return NewExperiment("\n".join(lines) + "\n", brought.config, tuple(remarks), made_up)


def _read_one(config: Path, client_cfg: Path | None) -> Brought:
    tree = _read(config).value()
    if not isinstance(tree.get("federate"), Mapping):
        raise FedsimError(f"{config} is not a configuration of FederatedScope: it has no section federate", Exit.SPEC)
    own = {} if client_cfg is None else _read_clients(client_cfg)
    return Brought(config, tree, own=own)


def _read_clients(path: Path) -> Mapping[int, Mapping[str, Any]]:
    values = _read(path).value()
    own = take_client_sections(values)
    shares = [key for key in values if _SHARE.fullmatch(key)]
    if shares:
        message = f"{path}: {', '.join(shares)}: sections for shares of the clients are a fork's"
        hint = "write one section for each client: client_1, client_2 and so on"
        raise FedsimError(message, Exit.SPEC, hint=hint)
    if not own:
        raise FedsimError(f"{path} has no sections client_1, client_2 and so on", Exit.SPEC)
    return own


def _read_all(configs: Sequence[Path]) -> Brought:
    twice = [path for number, path in enumerate(configs) if path in configs[:number]]
    if twice:
        raise FedsimError(f"{twice[0]} is given twice: one file describes one participant", Exit.SPEC)
    brought = read_participants({path: _read(path) for path in configs})
    if not isinstance(brought.tree.get("federate"), Mapping):
        message = f"{brought.config} is not a configuration of FederatedScope: it has no section federate"
        raise FedsimError(message, Exit.SPEC)
    return brought


def refuse_what_cannot_run(experiment: Experiment) -> None:
    """Check a course as planning does, on a lab that has room for it.

    Raises:
        FedsimError: it cannot run; the text lists all reasons.
    """
    room = LabHost("any", cpus=100_000, memory_bytes=2**60, arch="amd64")
    make_plan_or_refuse(experiment, [room], experiment.name)


def _clients(count: int, own: Mapping[int, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Half of them fast, half slow. Where some have settings of their own, each is an entry, in their order."""
    fast, slow = CLIENT_KINDS
    if not own:
        for kind, number in ((fast, (count + 1) // 2), (slow, count // 2)):
            if number:
                yield {**kind, "count": number} if number > 1 else kind
        return
    for number in range(1, count + 1):
        settings = {"federatedscope": dict(own[number])} if own.get(number) else {}
        yield {"name": f"client-{number}", **(fast if number % 2 else slow), **settings}


def _first_count(asked: int, federate: Mapping[str, Any]) -> int:
    sampled = _number(federate.get("sample_client_num"))
    return max(min(asked, CLIENTS_MAX), min(sampled, asked)) or CLIENTS_DEFAULT


def _absent(section: Mapping[str, Any], folder: Path, own_parts: bool) -> str | None:
    """Which data are not at hand, and what helps; empty: the configuration names none; None: they are at hand.

    Args:
        own_parts: whether each participant says which data it has.
    """
    kind = section.get("type", "")
    if not isinstance(kind, str) or not kind:
        return ""
    if kind.lower() in _MADE:
        return None
    if kind.lower() == "file":
        named = section.get("file_path")
        try:
            at_hand = own_parts or (isinstance(named, str) and (folder / Path(named).expanduser()).is_file())
        except (OSError, ValueError, RuntimeError):
            at_hand = False
        return None if at_hand else f"{named}, which is not there; {FILES_OF_THE_USER}"
    root = folder / str(section.get("root", "data"))
    try:
        at_hand = root.is_dir() and any(root.iterdir())
    except (OSError, ValueError):  # also what is not a path
        at_hand = False
    return (
        None
        if at_hand
        else _one_line(
            f"{kind}, which is not in {root}: with it there, or with internet access, "
            "write `data: {dataset: federatedscope}`"
        )
    )


def _one_line(text: str) -> str:
    """Text for a comment of the file, which a line break would end."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def _read(path: Path) -> Document:
    document = parse(read_text(path), str(path), merges=True)
    if document.errors:
        raise SpecErrors(document.errors).counted(str(path))
    move_older_keys(document)
    return document


def _number(value: Any) -> int:
    """A whole number of at least 0; 0 for anything else."""
    return value if type(value) is int and value > 0 else 0


def _stem(path: Path) -> str:
    return next((path.name.removesuffix(end) for end in SUFFIXES if path.name.endswith(end)), path.name)


def _experiment_name(config: Path) -> str:
    return re.sub(r"[^a-z0-9]+", "-", _stem(config).lower()).strip("-")[:NAME_MAX].strip("-") or "study"
