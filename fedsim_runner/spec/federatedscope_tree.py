"""The user's FederatedScope tree: what must be in it, and which keys it must leave to the testbed."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..catalog.resolve import nearest
from ..yamlfile.document import Ambiguous, Document, Node, parse, read_text
from ..yamlfile.overrides import Override, put_into
from ..yamlfile.spec_errors import PathPart, SpecErrors, format_path
from .testbed_keys import LOADED_BY_FEDERATEDSCOPE, SPLIT_BY_TESTBED, USERS_DISTRIBUTE_PREFIX, Owned, owned_keys
from .validation_messages import describe

ROUNDS_MAX = 1_000_000
# FederatedScope's models that take rows, those that take images of shape (channels, height, width), and those that take
# samples as they are: text as whole numbers, matrices.
FLAT_MODELS = ("lr", "mlp")
IMAGE_MODELS = ("convnet2", "convnet5", "vgg11")
KEPT_MODELS = ("lstm", "quadratic")

# The path of FederatedScope's tree in an experiment file that contains it.
AT_CONFIG: tuple[PathPart, ...] = ("federatedscope", "config")
_BELOW = f"{format_path(AT_CONFIG)}."


def tree_document(text: str, path: Path | None, overrides: Sequence[Override] = ()) -> Document:
    """Return FederatedScope's tree of an experiment file that was read before, for errors that are found later.

    Args:
        text: the text of the experiment file, empty if there was none.
        path: names the file; the tree's own file is searched relative to its folder.
        overrides: values that options gave in place of the file's.
    """
    shown = "the experiment file" if path is None else str(path)
    try:
        document = parse(text, shown)
        put_into(document, overrides)
        section = document.value().get("federatedscope")
        named = section.get("config_file") if isinstance(section, dict) else None
        if named is not None and path is not None:
            other = path.parent / Path(str(named)).expanduser()
            document = parse(read_text(other), str(other))
            put_into(document, of_tree(overrides))
            return document
    except SpecErrors:
        # There was no file, or it no longer exists: errors then have no lines.
        return Document(shown, Node(0, 0), base=AT_CONFIG)
    return document.below(AT_CONFIG)


def put_overrides(document: Document, overrides: Iterable[Override]) -> list[Override]:
    """Put values into an experiment file's document; return those for FederatedScope's tree if that is elsewhere: in a
    file of its own, or the default one. Their keys then begin there."""
    given = list(overrides)
    put_into(document, [one for one in given if not one.key.startswith(_BELOW)])
    if document.get(AT_CONFIG) is None:
        return of_tree(given)
    put_into(document, [one for one in given if one.key.startswith(_BELOW)])
    return []


def of_tree(overrides: Iterable[Override]) -> list[Override]:
    """The values of FederatedScope's tree, with keys that begin there."""
    return [replace(one, key=one.key.removeprefix(_BELOW)) for one in overrides if one.key.startswith(_BELOW)]


def tree_value(tree: Document | None, section: str, key: str) -> Any:
    """A value two levels deep in FederatedScope's tree; None: it is missing, or the tree could not be read."""
    values = tree.value().get(section) if tree is not None else None
    return values.get(key) if isinstance(values, dict) else None


def model_type(tree: Document | None) -> str:
    """The model's type in lower case, as FederatedScope compares it; its default is lr."""
    kind = tree_value(tree, "model", "type")
    return kind.lower() if isinstance(kind, str) else "lr"


def check_config(config: Mapping[str, Any], document: Document, seed: int, clients: int | None) -> dict[str, Any]:
    """Report what is wrong with the tree and return it without the keys that the testbed owns."""
    check_values(config, (), document)
    result: dict[str, Any] = copy.deepcopy(dict(config))
    for section in ("federate", "distribute", "data", "wandb"):
        if section in config and not isinstance(config[section], dict):
            document.report((section,), f"must be a mapping, not {describe(config[section])}")
            result.pop(section)
    if not document.errors_at(("federate",)):
        _check_federate(result, document, clients)
    for owned in owned_keys(seed, clients):
        _take_owned(owned, result, document, unsure=owned.path[-1] == "client_num" and clients is None)
    # The tree only still has this section if FederatedScope's loader is not used.
    for key in result.get("data", {}):
        message = f"means nothing here: {SPLIT_BY_TESTBED}, and FederatedScope's loader is not used"
        document.report(("data", key), message, f"remove it; {LOADED_BY_FEDERATEDSCOPE}")
    for key in list(result.get("distribute", ())):
        if not key.startswith(USERS_DISTRIBUTE_PREFIX):
            why = "the testbed sets it: roles, addresses and ports come from the devices"
            document.report(("distribute", key), why, "remove it; only distribute.grpc_* may be set")
    if type(result.get("verbose", 1)) is not int or result.get("verbose", 1) < 1:
        document.report(("verbose",), "must be at least 1: the course is followed by its log lines", "remove it")
    # A section with nothing but keys that the testbed sets does not count as the user's.
    return {key: value for key, value in result.items() if value != {} or config.get(key) == {}}


def check_target(config: Mapping[str, Any], document: Document) -> None:
    """Report a ``course.target`` that no evaluation of this tree could reach; ``document`` is the experiment file."""
    federate, evaluation = (found if isinstance(found := config.get(key), dict) else {} for key in ("federate", "eval"))
    path: tuple[PathPart, ...] = ("course", "target")
    if "acc" not in _listed(evaluation, "metrics", ()):
        document.report(path, "no evaluation measures an accuracy", "add acc to eval.metrics in federatedscope.config")
    elif not {"test", "val"} & set(_listed(evaluation, "split", ("test", "val"))):
        hint = "add test to eval.split in federatedscope.config"
        document.report(path, "no evaluation is on test or validation data", hint)
    elif not federate.get("make_global_eval") and not {"weighted_avg", "avg"} & set(
        _listed(evaluation, "report", ("weighted_avg",))
    ):
        hint = "add weighted_avg to eval.report in federatedscope.config"
        document.report(path, "the clients' accuracies are not averaged", hint)


def _listed(section: Mapping[str, Any], key: str, default: tuple[str, ...]) -> tuple[str, ...]:
    value = section.get(key, default)
    return tuple(filter(lambda one: isinstance(one, str), value)) if isinstance(value, list | tuple) else default


def _take_owned(owned: Owned, tree: dict[str, Any], document: Document, unsure: bool) -> None:
    holder: Any = tree
    for part in owned.path[:-1]:
        holder = holder.get(part)
        if not isinstance(holder, dict):
            return
    if owned.path[-1] not in holder:
        return
    given = holder.pop(owned.path[-1])
    accepted = owned.accepted
    same = accepted is not None and type(given) is type(accepted) and given == accepted
    if same or unsure or isinstance(given, Ambiguous):  # an ambiguous value is reported as such
        return
    hint = "remove it" if accepted is None else f"remove it, or write {_format_value(accepted)}"
    if owned.instead is not None:
        hint = f"{hint}; {owned.instead}"
    document.report(owned.path, f"the testbed sets it: {owned.why}", hint)


def _format_value(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


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
