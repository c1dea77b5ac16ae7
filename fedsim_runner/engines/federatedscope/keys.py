"""The configuration keys that a version of FederatedScope knows, read from its source without running it.

They are set by functions in ``core/configs/*.py`` and ``contrib/configs/*.py`` of a checkout or a wheel, in forks also
in such a folder of another part, as attributes of ``cfg``. Which values a key accepts follows FederatedScope's
``core/configs/yacs_config.py``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from fedsim_runner.catalog.federatedscope_keys import (
    FORK_BRANCHES,
    FORK_KEYS,
    OLDER_KEYS,
    KeyPath,
    Section,
    moved_with_its_section,
)
from fedsim_runner.catalog.suggestions import suggestion

from .course_facts import NAME_THE_FORK
from .literals import decoded
from .source import PACKAGE, UPSTREAM
from .source_code import CodeError, parsed_modules

FOLDERS = "*/configs"
LARGE_MODELS = "large language models"
# FederatedScope's conversions between a key's default and what is written for it.
_CASTS = {(tuple, list), (list, tuple), (int, float), (float, int), (int, list), (list, int)}
_WORDS: dict[type, str] = {
    bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", tuple: "a list",
    dict: "a mapping", type(None): "nothing",
}  # fmt: skip


@dataclass(frozen=True)
class KeyProblem:
    """What is wrong with one key of a tree, and a hint if there is one; ``topic`` as in ``SpecError``.

    ``elsewhere``: what helps if another FederatedScope has the key; empty: that is not likely.
    """

    path: KeyPath
    message: str
    hint: str | None = None
    topic: str = ""
    elsewhere: str = ""

    def __str__(self) -> str:
        text = f"{'.'.join(self.path)}: {self.message}"
        return f"{text} ({self.hint})" if self.hint else text


@cache
def read_keys(source: Path) -> Section:
    """Read all keys from a checkout or a wheel of FederatedScope; once, as one command checks a course twice.

    Raises:
        CodeError: there are no keys, or a file cannot be read.
    """
    root = Section()
    for module in parsed_modules(source, FOLDERS):
        _collect(module, root)
    if not root.sections.get("federate"):
        raise CodeError(f"{source}: no configuration keys in {PACKAGE}/core/configs: is this FederatedScope?")
    return root


def check_keys(tree: Mapping[str, Any], known: Section, where_else: str | None = None) -> list[KeyProblem]:
    """Find the keys of ``tree`` that FederatedScope would refuse: unknown ones, and values of a wrong type.

    Args:
        known: FederatedScope's keys.
        where_else: what to say of keys that a fork may have; None: which FederatedScope has them.
    """
    return [
        replace(one, hint="; ".join(filter(None, (one.hint, where_else or one.elsewhere)))) if one.elsewhere else one
        for one in _check(tree, known, (), known)
    ]


def _collect(module: ast.Module, root: Section) -> None:
    for function in ast.walk(module):
        if not isinstance(function, ast.FunctionDef) or not function.args.args:
            continue
        owner = function.args.args[0].arg
        # Methods set attributes of other objects; checks only correct the values of existing keys.
        if owner in ("self", "cls") or function.name.startswith("assert_"):
            continue
        for statement in ast.walk(function):
            if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
                path = _path(statement.targets[0], owner)
                if path:
                    _set(root, path, statement.value)


def _path(target: ast.expr, owner: str) -> KeyPath:
    """``cfg.train.optimizer`` as (train, optimizer); empty for anything else."""
    parts: list[str] = []
    while isinstance(target, ast.Attribute):
        parts.insert(0, target.attr)
        target = target.value
    return tuple(parts) if isinstance(target, ast.Name) and target.id == owner else ()


def _set(root: Section, path: KeyPath, value: ast.expr) -> None:
    holder = root
    for name in path[:-1]:
        holder = holder.sections.setdefault(name, Section())
    name = path[-1]
    called = value.func.id if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) else None
    if isinstance(value, ast.Call) and called in ("CN", "CfgNode"):
        is_open = any(word.arg == "new_allowed" and _is_true(word.value) for word in value.keywords)
        section = holder.sections.setdefault(name, Section())
        section.open = section.open or is_open
        return
    if isinstance(value, ast.Call) and called == "Argument":
        value = next((word.value for word in value.keywords if word.arg == "default_value"), None) or (
            value.args[0] if value.args else ast.Constant(None)
        )
    try:
        holder.defaults[name] = _constant(value)
        holder.unknown.discard(name)
    except ValueError:
        holder.unknown.add(name)


def _is_true(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is True


def _constant(value: ast.expr) -> Any:
    """A literal, or a product of numbers.

    Raises:
        ValueError: it is something else.
    """
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Mult):
        return _constant(value.left) * _constant(value.right)
    return ast.literal_eval(value)


def _check(tree: Mapping[str, Any], section: Section, at: KeyPath, root: Section) -> Iterator[KeyProblem]:
    for name, value in tree.items():
        path = (*at, name)
        if name in section.sections:
            if isinstance(value, Mapping):
                yield from _check(value, section.sections[name], path, root)
            else:
                yield KeyProblem(path, f"must be a mapping, not {_shown(value)}")
        elif name in section.defaults:
            default = section.defaults[name]
            if not _accepted(value, default):
                yield KeyProblem(path, f"must be {_WORDS.get(type(default), 'another type')}, not {_shown(value)}")
        elif not section.open and name not in section.unknown:
            yield from _explain_unknown(path, value, section, root)


def _explain_unknown(path: KeyPath, value: Any, section: Section, root: Section) -> Iterator[KeyProblem]:
    shown = ".".join(path)
    fork = FORK_KEYS.get(shown)
    if fork is not None:
        topic = LARGE_MODELS if shown in ("adapter", "llm") else ""
        message = f"a key of {fork}, which FederatedScope itself does not have"
        yield KeyProblem(path, message, "remove it", topic, _name_the_branch(FORK_BRANCHES[fork]))
        return
    older = OLDER_KEYS.get(shown) or ".".join(moved_with_its_section(path, root) or ())
    if isinstance(value, Mapping) and any(f"{shown}.{name}" in OLDER_KEYS for name in value):
        for name, under in value.items():
            yield from _explain_unknown((*path, name), under, Section(), root)
    elif older:
        gone, _, instead = older.partition(": ")
        if gone == "gone":
            yield KeyProblem(path, "a key of an older FederatedScope, which is gone", instead or "remove it")
        else:
            yield KeyProblem(path, "a key of an older FederatedScope", f"it is now {older}")
    else:
        what, hint = "section" if isinstance(value, Mapping) else "key", _advice(path, section, root)
        yield KeyProblem(path, f"unknown {what} of FederatedScope", hint, elsewhere="" if hint else NAME_THE_FORK)


def _name_the_branch(branch: str | None) -> str:
    if branch is None:
        return "that branch is of an older FederatedScope, which does not run here"
    return f"or name the branch as federatedscope.source: {UPSTREAM}@{branch}"


def _advice(path: KeyPath, section: Section, root: Section) -> str | None:
    parts = path[-1].split(".")
    if len(parts) > 1 and (*path[:-1], *parts) in root.paths():
        nested = f"{parts[-1]}: ..."
        for part in reversed(parts[:-1]):
            nested = f"{part}: {{{nested}}}"
        return f"a dot in a key does not make a section in YAML: write {nested}"
    elsewhere = [".".join(leaf) for leaf in root.paths() if leaf[-1] == path[-1]]
    near = suggestion(path[-1], section.names, or_all=False)
    if near or not elsewhere:
        return near
    # The most likely mistake: the right section, one level too high.
    elsewhere.sort(key=lambda key: (not key.startswith(f"{path[0]}."), key))
    return f"is it {' or '.join(elsewhere[:3])}?"


def _accepted(value: Any, default: Any) -> bool:
    given, expected = type(decoded(value)), type(default)
    return given is expected or (given, expected) in _CASTS


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, str) and type(decoded(value)) is not str:
        return f'"{value}", which FederatedScope reads as {_WORDS.get(type(decoded(value)), "something else")}'
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
