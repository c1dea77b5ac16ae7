"""Files besides data that a course's code reads and devices do not have, as far as it can be seen in the code."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fedsim_runner.catalog.federatedscope_keys import Section

from .course_facts import Kind, Tree
from .source import PACKAGE, contrib_files
from .source_code import modules
from .source_names import TELLING, texts_of

# Functions that fetch weights or files, by the end of their dotted name.
_FETCHING = (
    "from_pretrained", "load_state_dict_from_url", "model_zoo.load_url", "hub.load", "clip.load", "hf_hub_download",
    "snapshot_download", "urlretrieve", "gdown.download",
)  # fmt: skip
_NAMED_BY: tuple[tuple[str, Kind], ...] = (
    ("model.type", "model"), ("trainer.type", "trainer"), ("federate.method", "worker"),
)  # fmt: skip
_HELP = "docs/federatedscope-source.md#weights-and-other-files"


def notes(tree: Tree, source: Path, known: Section) -> Iterator[str]:
    """Say what participants would look for and not find.

    Args:
        source: a checkout or a wheel.
        known: FederatedScope's own keys: of others the values may be paths.

    Raises:
        CodeError: the source cannot be read.
    """
    for key, kind in _NAMED_BY:
        for place, call in _fetches(source, kind, tree.text(key)):
            yield f"{place} calls {call} when a participant starts, and devices reach no network: see {_HELP}"
    folders = [Path.cwd(), *([source] if source.is_dir() else [])]
    carried = {(source / path).resolve() for path in contrib_files(source)} if source.is_dir() else set()
    for key, path in _paths(tree.config, known, folders):
        what = f"federatedscope.config.{key} names {path}"
        if any((folder / Path(path).expanduser()).resolve() in carried for folder in folders):
            yield f"{what}, which devices have beside the code in contrib, not under this path: see {_HELP}"
        else:
            yield f"{what}, which this machine has and devices do not have: see {_HELP}"


def _fetches(source: Path, kind: Kind, name: str) -> Iterator[tuple[str, str]]:
    """Calls in the user's own code that fetch something, in those files that may decide about a name."""
    for file, text in modules(source, f"contrib/{kind}"):
        try:
            module = ast.parse(text, file)
        except (SyntaxError, ValueError):
            continue  # reported where names are checked
        if not any(len(one) >= TELLING and one.lower() in name for one in texts_of(module)):
            continue
        shown = file[file.rindex(f"{PACKAGE}/contrib/") :]
        for node in ast.walk(module):
            if isinstance(node, ast.Call) and _is_fetching(node):
                yield f"{shown}:{node.lineno}", ast.unparse(node.func) + _pretrained(node)


def _is_fetching(call: ast.Call) -> bool:
    return ast.unparse(call.func).endswith(_FETCHING) or bool(_pretrained(call))


def _pretrained(call: ast.Call) -> str:
    """The argument by which a model of torchvision or timm comes with weights; empty: there is none."""
    for word in call.keywords:
        value = word.value
        given = isinstance(value, ast.Constant) and (value.value is True or isinstance(value.value, str))
        named = word.arg == "weights" and isinstance(value, ast.Attribute)
        if named or (given and word.arg in ("pretrained", "weights")):
            return f"({word.arg}={ast.unparse(value)})"
    return ""


def _paths(
    tree: Mapping[str, Any], known: Section, folders: list[Path], at: tuple[str, ...] = ()
) -> Iterator[tuple[str, str]]:
    """Values of keys that only the fork has which are files or folders of this machine."""
    for name, value in tree.items():
        path = (*at, str(name))
        if isinstance(value, Mapping):
            yield from _paths(value, known, folders, path)
        elif isinstance(value, str) and "/" in value and not known.has(path) and _is_there(value, folders):
            yield ".".join(path), value


def _is_there(value: str, folders: list[Path]) -> bool:
    try:
        return any((folder / Path(value).expanduser()).exists() for folder in folders)
    except (OSError, ValueError, RuntimeError):  # no path
        return False
