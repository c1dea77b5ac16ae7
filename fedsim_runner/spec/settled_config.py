"""Settling a FederatedScope tree: what is wrong with it, what the testbed sets, and which switches mean nothing."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..catalog.federatedscope_keys import Section, known_keys
from ..catalog.suggestions import nearest
from ..yamlfile.document import Document
from ..yamlfile.scalars import Ambiguous
from ..yamlfile.spec_errors import PathPart
from .data_section import take_data_tree
from .owned_values import OwnedValues
from .schema import DataSection
from .search import leave_out_search
from .standalone_switches import remove_switches
from .tree_rounds import follow_trees
from .validation_messages import describe

ROUNDS_MAX = 1_000_000


@dataclass(frozen=True)
class Settled:
    """A user's tree without what the testbed sets, and notes on what was changed.

    ``data``: for data set ``federatedscope``, FederatedScope's own ``data``, for its loader.
    """

    config: dict[str, Any]
    data: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Surroundings:
    """What the rest of an experiment says that its tree depends on.

    Attributes:
        seed: the experiment's.
        clients: the number of client devices; None: unknown.
        data: the valid part of the section ``data``.
        folder: where relative paths start.
        brought: how notes call the tree's own file; None: the experiment file has the tree.
        real_server: whether FederatedScope itself is the server.
        own_files: whether every client has a file of data of its own.
    """

    seed: int
    clients: int | None
    data: DataSection
    folder: Path
    brought: str | None = None
    real_server: bool = False
    own_files: bool = False


def settle_config(values: Mapping[str, Any], document: Document, around: Surroundings) -> Settled:
    """Report what is wrong with the tree, and settle what it says of the testbed's own keys and of other modes."""
    check_values(values, (), document)
    tree: dict[str, Any] = copy.deepcopy(dict(values))
    take_wrong_sections(tree, known_keys(), (), document)
    owned = OwnedValues(tree, document, around.brought is not None, around.data.dataset)
    owned.move_loader_keys()
    data = take_data_tree(around.data, tree, document, around.folder, around.own_files)
    owned.take(around.seed, around.clients)
    of_trees = list(follow_trees(tree))
    if not document.errors_at(("federate",)):
        _check_federate(tree, document, around.clients)
    notes = [*owned.note(around.brought or ""), *remove_switches(tree, document, around.real_server), *of_trees]
    if around.brought is not None:
        notes += leave_out_search(tree, document, around.brought)
    # A section with nothing but keys that the testbed sets does not count as the user's.
    config = {key: value for key, value in tree.items() if value != {} or values.get(key) == {}}
    return Settled(config, data, tuple(notes))


def take_wrong_sections(tree: dict[str, Any], known: Section, path: tuple[PathPart, ...], document: Document) -> None:
    """Report and remove what stands in place of a section of FederatedScope's."""
    for name in [name for name in tree if name in known.sections]:
        if isinstance(tree[name], dict):
            take_wrong_sections(tree[name], known.sections[name], (*path, name), document)
        else:
            document.report((*path, name), f"must be a mapping, not {describe(tree.pop(name))}")


def _check_federate(tree: Mapping[str, Any], document: Document, clients: int | None) -> None:
    federate = tree.get("federate", {})
    if "total_round_num" not in federate:
        near = nearest("total_round_num", list(federate))
        if near is None and "federate" not in tree:
            near = nearest("federate", list(tree))
        hint = "give the number of rounds" if near is None else f'did you misspell it as "{near}"?'
        document.report(("federate", "total_round_num"), "missing key", hint)
    else:
        _check_whole_number(("federate", "total_round_num"), federate["total_round_num"], 1, ROUNDS_MAX, document)
    sampled = federate.get("sample_client_num", -1)
    path = ("federate", "sample_client_num")
    if (
        sampled != -1
        and _check_whole_number(path, sampled, 1, None, document)
        and clients is not None
        and sampled > clients
    ):
        document.report(path, f"{sampled} clients cannot be sampled from {clients}")


def _check_whole_number(path: tuple[PathPart, ...], value: Any, low: int, high: int | None, document: Document) -> bool:
    if isinstance(value, Ambiguous):
        return False  # reported as such
    if type(value) is not int:
        document.report(path, f"must be a whole number, not {describe(value)}")
    elif value < low:
        document.report(path, f"must be at least {low}, not {value}")
    elif high is not None and value > high:
        document.report(path, f"must be at most {high}, not {value}")
    else:
        return True
    return False


def check_values(value: Any, path: tuple[PathPart, ...], document: Document) -> None:
    """Report values that YAML readers disagree on, and numbers that are not finite; no participant may get them."""
    if isinstance(value, dict):
        for key, below in value.items():
            check_values(below, (*path, key), document)
    elif isinstance(value, list):
        for number, below in enumerate(value):
            check_values(below, (*path, number), document)
    elif isinstance(value, Ambiguous):
        document.report(path, f'is the text "{value}" here, but not for every YAML reader', value.why)
    elif isinstance(value, float) and not math.isfinite(value):
        document.report(path, f"must be a finite number, not {value}")
