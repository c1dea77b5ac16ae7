"""Names that the code of a source decides about: of models, trainers, methods and the like.

FederatedScope compares what a configuration names with texts: in the builders of ``core/auxiliaries``, and in
functions that modules register with it. Users add theirs in ``contrib``, forks in the builders or anywhere else.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from .course_facts import Kind
from .source_code import modules, parsed_modules

# What builders and registering functions call a kind, if not by its name, which is that of its folder in contrib.
_BUILT_AS = {"loss": "criterion", "metrics": "metric"}
# Other files than a builder that decide about a kind.
_ALSO = {"metrics": ("/core/monitors/metric_calculator.py",), "data": ("/core/data/utils.py",)}
# Texts that say nothing of a user's own names: those of contrib in v0.3.0, and words.
_COMMON = {
    "data": frozenset((
        "bace", "bbbp", "clintox", "file", "mini-graph-dc", "data", "dataset", "name", "root", "task", "test", "train",
        "type", "val",
    )),
}  # fmt: skip
# A text in a user's code that is at least this long and part of a name is taken to decide about it.
TELLING = 3
# What joins a name with the family that it is of, as in gnn_..., ..._llm and hits@...
_JOINTS = ("_", "@")


def has_name(source: Path, kind: Kind, name: str, *, any_case: bool = False) -> bool:
    """Whether code of a source may decide about a name, besides that of FederatedScope v0.3.0.

    Args:
        source: a checkout or a wheel.
        name: in lower case if ``any_case``.
        any_case: whether FederatedScope compares this kind in lower case.

    Raises:
        CodeError: the source cannot be read.
    """
    own = _own_texts(source, kind)
    if kind == "worker":  # a name that is only similar would run FedAvg
        return name in own or name in _methods(source)
    common = _COMMON.get(kind, frozenset())
    if any(len(text) >= TELLING and text in name.lower() for text in own - common):
        return True
    texts = _core_texts(source, kind)
    core = {text.lower() for text in texts} if any_case else texts
    return bool(name) and name not in common and (name in core or any(_is_of_family(name, text) for text in core))


def _is_of_family(name: str, text: str) -> bool:
    if len(text) <= TELLING:
        return False
    return (text[0] in _JOINTS and name.endswith(text)) or (text[-1] in _JOINTS and name.startswith(text))


@cache
def _own_texts(source: Path, kind: Kind) -> frozenset[str]:
    """All texts in the user's own code of a kind, in lower case."""
    modules_of_kind = parsed_modules(source, f"contrib/{kind}")
    return frozenset(text.lower() for module in modules_of_kind for text in texts_of(module))


@cache
def _core_texts(source: Path, kind: Kind) -> frozenset[str]:
    """The texts in the builder of a kind, and in modules that register something of it."""
    built_as = _BUILT_AS.get(kind, kind)
    deciding = (f"/core/auxiliaries/{built_as}_builder.py", *_ALSO.get(kind, ()))
    found: set[str] = set()
    for name, text in modules(source):
        if name.endswith(deciding) or f"register_{built_as}(" in text:
            found.update(texts_of(_parsed(name, text)))
    return frozenset(found)


@cache
def _methods(source: Path) -> frozenset[str]:
    """``federate.method`` in lower case: what workers are registered for, or what it is compared with anywhere."""
    found: set[str] = set()
    for name, text in modules(source):
        if name.endswith("/core/configs/constants.py"):
            found.update(_keys(_parsed(name, text)))
        elif "register_worker(" in text:
            found.update(texts_of(_parsed(name, text)))
        elif "federate.method" in text:
            found.update(_compared_methods(_parsed(name, text)))
    return frozenset(text.lower() for text in found)


def _parsed(name: str, text: str) -> ast.AST:
    try:
        return ast.parse(text, name)
    except (SyntaxError, ValueError):  # of an older Python: FederatedScope fails if it needs the file
        return ast.Module([], [])


def texts_of(tree: ast.AST) -> Iterator[str]:
    """All texts in code, among them the names that it compares others with."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _keys(tree: ast.AST) -> Iterator[str]:
    """Texts that are keys of dictionaries."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            for key in node.keys:
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield key.value


def _compared_methods(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and any(map(_is_method, ast.walk(node))):
            yield from texts_of(node)


def _is_method(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and node.attr == "method"
        and isinstance(node.value, ast.Attribute)
        and node.value.attr == "federate"
    )
