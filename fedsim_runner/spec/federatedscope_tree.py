"""The user's FederatedScope tree as a document, and what other checks look up in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..yamlfile.document import Document, Node, parse, read_text
from ..yamlfile.overlay import lay_over
from ..yamlfile.overrides import Override, put_into
from ..yamlfile.spec_errors import PathPart, SpecErrors, format_path
from .older_keys import Moved, move_older_keys

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
            tree = parse(read_text(other), str(other), merges=True)
            return brought_tree(tree, document, of_tree(overrides))[0]
    except SpecErrors:
        # There was no file, or it no longer exists: errors then have no lines.
        return Document(shown, Node(0, 0), base=AT_CONFIG)
    return document.below(AT_CONFIG)


def brought_tree(tree: Document, document: Document, overrides: Iterable[Override]) -> tuple[Document, Moved]:
    """Return the tree of a file of its own, below what the experiment file and options give in place of its values, and
    which older keys of it were moved."""
    tree.errors = document.errors
    moved = move_older_keys(tree)
    if isinstance(document.get(AT_CONFIG), dict):
        lay_over(tree, document.below(AT_CONFIG))
    put_into(tree, overrides)
    return tree, moved


def put_overrides(document: Document, overrides: Iterable[Override]) -> list[Override]:
    """Put values into an experiment file's document; return those for FederatedScope's tree if that is elsewhere: in a
    file of its own, or the default one. Their keys then begin there."""
    given = list(overrides)
    put_into(document, [one for one in given if not one.key.startswith(_BELOW)])
    if document.get(AT_CONFIG) is None or document.get((AT_CONFIG[0], "config_file")) is not None:
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
