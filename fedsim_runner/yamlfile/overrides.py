"""Values that an option gives in place of an experiment file's: their keys, and putting them into the document."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..contract.errors import Exit, FedsimError
from .document import Document, Node, parse
from .spec_errors import PathPart, SpecError, SpecErrors, format_path

_PART = re.compile(r"([^][.=,\s]+)((?:\[[0-9]{1,6}\])*)")
_EXAMPLE = "as in data.alpha or devices[1].count"


@dataclass(frozen=True)
class Override:
    """A value in place of the file's.

    Attributes:
        key: as error messages write paths, ``devices[1].count``.
        value: plain data, as the file would give it.
        given: the option that gives it, for messages.
    """

    key: str
    value: Any
    given: str


def parse_key(text: str, given: str) -> tuple[PathPart, ...]:
    """Return a key's path.

    Raises:
        SpecErrors: it is not the name of a key.
    """
    path: list[PathPart] = []
    for part in text.split("."):
        match = _PART.fullmatch(part)
        if match is None:
            raise _wrong(given, "", f'"{text}" is not a key', f"write it {_EXAMPLE}")
        path.append(match[1])
        path += [int(number) for number in re.findall(r"[0-9]+", match[2])]
    return tuple(path)


def parse_values(text: str, given: str) -> list[Any]:
    """Return the values between commas, each read as in an experiment file: numbers, text, ``true``, ``[lists]``.

    Raises:
        SpecErrors: there is none, one is empty, or the text cannot be read.
    """
    try:
        document = parse(f"values: [{text}\n]", given)
        if not document.errors:
            values = document.value()["values"]
            if values and None not in values:
                return list(values)
    except SpecErrors:
        pass
    what = "has no values" if not text.strip() else f'"{text}" cannot be read as values'
    hint = "write them between commas, as in 0.1,0.5,1; put text with special characters in quotes"
    raise _wrong(given, "", what, hint)


def put_into(document: Document, overrides: Iterable[Override]) -> None:
    """Put values into a document in place of its own; mistakes at their keys will name the option, not a line.

    A value that does not fit what the file has there is reported in the document.
    """
    for override in overrides:
        path = parse_key(override.key, override.given)
        try:
            document.root, made = _with(document.root, path, 0, override.value)
        except _MisfitError as misfit:
            shown = format_path((*document.base, *path[: misfit.depth]))
            document.errors.append(SpecError(override.given, 0, 0, shown, misfit.message, misfit.hint or None))
            continue
        document.origins[path[:made]] = override.given


class _MisfitError(FedsimError):
    """The file has something else at the first ``depth`` parts of a path."""

    exit = Exit.SPEC

    def __init__(self, depth: int, message: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.depth = depth


def _with(node: Node, path: Sequence[PathPart], depth: int, value: Any) -> tuple[Node, int]:
    """Return a copy of ``node`` with ``value`` at ``path[depth:]``, and how much of the path is the option's alone.

    Nodes are copied, as the aliases of an anchor share theirs.
    """
    if depth == len(path):
        return _node(value), depth
    part = path[depth]
    if isinstance(part, int):
        if not isinstance(node.value, list):
            raise _MisfitError(depth, f"is {_kind(node)} in the file (line {node.line}), which has no entries")
        if part >= len(node.value):
            count = len(node.value)
            entries = "is only 1 entry" if count == 1 else f"are only {count} entries"
            raise _MisfitError(depth + 1, f"there {entries} in the file", f"they are counted from 0 to {count - 1}")
        below, made = _with(node.value[part], path, depth + 1, value)
        return Node(node.line, node.column, [*node.value[:part], below, *node.value[part + 1 :]]), made
    if isinstance(node.value, list):
        hint = f"name one, as in {format_path((*path[:depth], 0))}"
        raise _MisfitError(depth, f"is a list of entries in the file (line {node.line})", hint)
    if not isinstance(node.value, dict):
        hint = f"vary {format_path(path[:depth])} itself, or write it out in the file"
        raise _MisfitError(depth, f"is {_kind(node)} in the file (line {node.line}), which has no key {part}", hint)
    if part in node.value:
        line, column, found = node.value[part]
        below, made = _with(found, path, depth + 1, value)
    else:
        if any(isinstance(later, int) for later in path[depth + 1 :]):
            raise _MisfitError(depth + 1, "is not in the file, so it has no entries")
        line, column, made = node.line, node.column, depth + 1
        below = _node(_nested(path[depth + 1 :], value))
    return Node(node.line, node.column, {**node.value, part: (line, column, below)}), made


def _nested(path: Sequence[PathPart], value: Any) -> Any:
    for part in reversed(path):
        value = {part: value}
    return value


def _node(value: Any) -> Node:
    if isinstance(value, dict):
        return Node(0, 0, {key: (0, 0, _node(below)) for key, below in value.items()})
    if isinstance(value, list):
        return Node(0, 0, [_node(below) for below in value])
    return Node(0, 0, value)


def _kind(node: Node) -> str:
    if isinstance(node.value, dict):
        return "a mapping"
    return f'the text "{node.value}"' if isinstance(node.value, str) else f"the value {node.value}"


def _wrong(given: str, path: str, message: str, hint: str) -> SpecErrors:
    return SpecErrors([SpecError(given, 0, 0, path, message, hint)])
