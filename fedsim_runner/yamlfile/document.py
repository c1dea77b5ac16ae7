"""YAML text -> plain values that remember their position.

Safe and strict: text, numbers, booleans, lists and mappings with text keys, nothing else. Tags, duplicate keys,
further documents and anything that grows without bound are rejected, and so are merge keys, except in files that were
written for another reader. Scalars on which YAML 1.1 and 1.2 disagree (``yes``, ``010``, ``1_000``, ``1:30``, dates)
become `Ambiguous` text: fine where text is expected, an error elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from .scalars import read_scalar
from .spec_errors import PathPart, SpecError, SpecErrors, format_path
from .syntax_hints import syntax_hint

SIZE_MAX = 4 * 2**20
DEPTH_MAX = 32
# Enough for 10,000 devices written out one by one with ten keys each (keys are not counted).
NODES_MAX = 200_000
_MERGE = "<<"
# libyaml is ten times faster; without it, Python code reads the same language.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass
class Node:
    """A value and where it starts (counted from 1); mappings also know the position of each key."""

    line: int
    column: int
    value: Any = None  # a scalar; a list of nodes; a dict of (key's line, key's column, node)
    size: int = 1
    height: int = 1
    closed: bool = True

    def children(self) -> Iterator[Node]:
        if isinstance(self.value, dict):
            yield from (node for _, _, node in self.value.values())
        elif isinstance(self.value, list):
            yield from self.value

    def plain(self) -> Any:
        """The value without positions; every call returns new lists and dicts."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, (_, _, node) in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


@dataclass
class Document:
    """One file's content, or the part of it below ``base``, to which paths are then relative.

    ``origins``: paths whose values are not the file's, with the option that gave them. ``over``: a document whose
    values stand in place of the file's, see :func:`.overlay.lay_over`.
    """

    file: str
    root: Node
    errors: list[SpecError] = field(default_factory=list)
    base: tuple[PathPart, ...] = ()
    origins: dict[tuple[PathPart, ...], str] = field(default_factory=dict)
    over: Document | None = None

    def value(self) -> dict[str, Any]:
        """The mapping at ``base`` as plain values."""
        plain = self.root.plain()
        for part in self.base:
            plain = plain[part]
        return plain if isinstance(plain, dict) else {}

    def get(self, path: Sequence[PathPart]) -> Any:
        """The plain value at a path; None if there is no value."""
        node = self.root
        for part in (*self.base, *path):
            if isinstance(node.value, dict) and part in node.value:
                node = node.value[part][2]
            elif isinstance(node.value, list) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
            else:
                return None
        return node.plain()

    def position(self, path: Sequence[PathPart]) -> tuple[int, int]:
        """Line and column of the deepest part of the path that exists in the file."""
        node, where = self.root, (self.root.line, self.root.column)
        for part in (*self.base, *path):
            if isinstance(node.value, dict) and part in node.value:
                line, column, node = node.value[part]
                where = (line, column)
            elif isinstance(node.value, list) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                where = (node.line, node.column)
            else:
                break
        return where

    def report(self, path: Sequence[PathPart], message: str, hint: str | None = None, topic: str = "") -> None:
        """Add an error at a path; ``topic`` as in :class:`SpecError`."""
        whole = (*self.base, *path)
        given = next((option for origin, option in self.origins.items() if whole[: len(origin)] == origin), None)
        if given is None and self.over is not None and self.over.gives(path):
            self.over.report(path, message, hint, topic)
            return
        file, (line, column) = (self.file, self.position(path)) if given is None else (given, (0, 0))
        self.errors.append(SpecError(file, line, column, format_path(whole), message, hint, topic))

    def gives(self, path: Sequence[PathPart]) -> bool:
        """Whether it has a value at a path, or one above it that is no mapping."""
        node = self.root
        for part in (*self.base, *path):
            if not isinstance(node.value, dict):
                return True
            if part not in node.value:
                return False
            node = node.value[part][2]
        return True

    def below(self, base: tuple[PathPart, ...]) -> Document:
        """The same file, with the same list of errors, with paths relative to ``base``."""
        return Document(self.file, self.root, self.errors, base, self.origins)

    def errors_at(self, path: Sequence[PathPart]) -> bool:
        """Whether an error has already been reported at exactly this path."""
        shown = format_path((*self.base, *path))
        known = any(error.path == shown for error in self.errors)
        return known or (self.over is not None and self.over.errors_at(path))


def read_text(path: Path) -> str:
    """Read a file's text.

    Raises:
        SpecErrors: it does not exist, cannot be read, is too large or is not UTF-8.
    """
    shown = str(path)
    try:
        if path.is_dir():
            _fail(shown, "is a directory", "name a file in it")
        if path.exists() and not path.is_file():
            _fail(shown, "is not an ordinary file")
        with path.open("rb") as stream:
            data = stream.read(SIZE_MAX + 1)
    except FileNotFoundError:
        _fail(shown, "there is no such file")
    except OSError as error:
        _fail(shown, f"cannot be read: {error.strerror}")
    except ValueError:  # a null character, or half of a surrogate pair
        _fail(shown, "is not a path")
    if len(data) > SIZE_MAX:
        _fail(shown, f"is larger than {SIZE_MAX // 2**20} MB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        _fail(shown, f"is not UTF-8: byte 0x{data[error.start]:02x}", "save the file as UTF-8", line)


def parse(text: str, file: str, *, merges: bool = False) -> Document:
    """Read one YAML document whose root is a mapping.

    Errors after which the rest is still readable (a duplicate key, a tag) are kept in the document's ``errors``.

    Args:
        text: the document.
        file: its name in errors.
        merges: whether merge keys are taken, as FederatedScope does; values keep the position where they are written.

    Raises:
        SpecErrors: the text is not YAML, is empty, is not a mapping or exceeds the limits.
    """
    document = Document(file, Node(1, 1))
    builder = _Builder(document, merges)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = (error.problem or "cannot be read").strip()
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        if "nesting" in problem:
            # The scanner reads ahead of its events: since PyYAML 6.0.4 its own limit is reached before ours.
            raise SpecErrors([SpecError(file, line, column, "", f"nested deeper than {DEPTH_MAX} levels")]) from None
        broken = SpecError(file, line, column, "", f"not YAML: {problem}", syntax_hint(text, line))
        raise SpecErrors([*document.errors, broken]) from None
    except yaml.YAMLError as error:
        reason = getattr(error, "reason", None) or str(error)
        line = text.count("\n", 0, getattr(error, "position", 0) or 0) + 1
        raise SpecErrors([SpecError(file, line, 1, "", f"not YAML: {reason}")]) from None
    root = builder.root
    if root is None or (root.value is None and not document.errors):
        _fail(file, "is empty", "see examples/quickstart.yaml")
    if not isinstance(root.value, dict):
        wrong = SpecError(file, root.line, root.column, "", "must be a mapping of keys, for example name: my-study")
        raise SpecErrors([*document.errors, wrong])
    document.root = root
    return document


def _fail(file: str, message: str, hint: str | None = None, line: int = 0) -> NoReturn:
    raise SpecErrors([SpecError(file, line, 1 if line else 0, "", message, hint)])


@dataclass(frozen=True)
class _Key:
    """A key and where it starts. ``is_text``: otherwise it is reported, and its value is left out."""

    text: str
    line: int
    column: int
    is_text: bool = True


class _Builder:
    """Builds nodes from the parser's events, without recursion."""

    def __init__(self, document: Document, merges: bool) -> None:
        self.document = document
        self.merges = merges
        self.root: Node | None = None
        self.stack: list[Node] = []
        self.keys: list[_Key | None] = []  # for each open mapping, the key that waits for its value
        self.merged: dict[int, dict[str, Any]] = {}  # by depth, what the open mapping takes over from others
        self.anchors: dict[str, Node] = {}
        self.nodes = 0
        self.documents = 0

    def take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                self._fail(event, "a second document starts here", "one file holds one experiment: remove the ---")
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.ScalarEvent):
            self._tag(event)
            node = self._node(event)
            quoted = not event.implicit[0] if event.tag is None else True
            node.value = event.value if quoted else read_scalar(event.value)
            self._anchor(event, node)
            self._add(node, event)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._tag(event)
            node = self._node(event)
            node.value = {} if isinstance(event, yaml.MappingStartEvent) else []
            node.closed = False
            self._anchor(event, node)
            if len(self.stack) >= DEPTH_MAX:
                self._fail(event, f"nested deeper than {DEPTH_MAX} levels")
            if self.stack and isinstance(self.stack[-1].value, dict) and self.keys[-1] is None:
                self._fail(event, "a list or mapping cannot be a key")
            self.stack.append(node)
            self.keys.append(None)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            merged = self.merged.pop(len(self.stack), None)
            node = self.stack.pop()
            self.keys.pop()
            if merged is not None:
                node.value = {**merged, **node.value}  # its own values win, wherever they stand
            children = list(node.children())
            node.size = 1 + sum(child.size for child in children)
            node.height = 1 + max((child.height for child in children), default=0)
            node.closed = True
            self._add(node, event)

    def _node(self, event: yaml.Event) -> Node:
        self.nodes += 1
        self._bound(event)
        return Node(*_place(event))

    def _bound(self, event: yaml.Event) -> None:
        if self.nodes > 2 * NODES_MAX:  # keys are nodes here
            self._fail(event, f"contains more than {NODES_MAX} values", "an alias counts as all that it stands for")

    def _add(self, node: Node, event: yaml.Event) -> None:
        if not self.stack:
            self.root = node
            return
        parent = self.stack[-1]
        if isinstance(parent.value, list):
            parent.value.append(node)
        elif self.keys[-1] is None:
            self.keys[-1] = self._key(node)
        else:
            key = self.keys[-1]
            self.keys[-1] = None
            if key.text == _MERGE:
                self._merge(key, node)
            elif key.is_text and key.text in parent.value:
                first = parent.value[key.text][0]
                self._report_key(key, f"duplicate key, first given in line {first}", "keep one of them")
            elif key.is_text:
                parent.value[key.text] = (key.line, key.column, node)

    def _key(self, node: Node) -> _Key:
        if isinstance(node.value, str):
            return _Key(str(node.value), node.line, node.column)
        shown = "nothing" if node.value is None else str(node.value).lower()
        key = _Key(shown, node.line, node.column, is_text=False)
        self._report_key(key, f"a key must be text, not {shown}", f'quote it: "{shown}"')
        return key

    def _merge(self, key: _Key, node: Node) -> None:
        """Take over the values of another mapping, or of several, of which the first that has a key counts."""
        if not self.merges:  # but nothing else is wrong because of it
            self._report_key(key, "merge keys are not supported", "write the values out, or use based_on")
        elif len(self.stack) in self.merged:  # versions of PyYAML disagree on which counts
            self._report_key(key, "a second merge key", "write <<: [*ONE, *OTHER]: of two values the first counts")
        sources = node.value if isinstance(node.value, list) else [node]
        if all(isinstance(source.value, dict) for source in sources):
            self.merged[len(self.stack)] = {
                name: entry for source in reversed(sources) for name, entry in source.value.items()
            }
        elif self.merges:
            self._report_key(key, "merges what is no mapping", "write <<: *NAME, with &NAME at a mapping before it")

    def _alias(self, event: yaml.AliasEvent) -> None:
        target = self.anchors.get(event.anchor or "")
        if target is None:
            self._fail(event, f"no anchor &{event.anchor} comes before this alias")
        if not target.closed:
            self._fail(event, f"the alias *{event.anchor} contains itself")
        self.nodes += target.size
        self._bound(event)
        if len(self.stack) + target.height > DEPTH_MAX:
            self._fail(event, f"nested deeper than {DEPTH_MAX} levels")
        self._add(target, event)

    def _anchor(self, event: yaml.NodeEvent, node: Node) -> None:
        if event.anchor is not None:
            self.anchors[event.anchor] = node

    def _tag(self, event: yaml.NodeEvent) -> None:
        tag = getattr(event, "tag", None)
        if tag is None or (tag == "!" and isinstance(event, yaml.ScalarEvent)):
            return
        shown = tag.replace("tag:yaml.org,2002:", "!!")
        hint = "write plain values; put text that looks like a number in quotes"
        self._report(event, f"the tag {shown} is not allowed: tags can create any object", hint)

    def _report(self, event: yaml.Event, message: str, hint: str | None = None) -> None:
        self._add_error(*_place(event), self._path(), message, hint)

    def _report_key(self, key: _Key, message: str, hint: str) -> None:
        self._add_error(key.line, key.column, (*self._path(of_key=False), key.text), message, hint)

    def _add_error(self, line: int, column: int, path: Sequence[PathPart], message: str, hint: str | None) -> None:
        self.document.errors.append(SpecError(self.document.file, line, column, format_path(path), message, hint))

    def _path(self, of_key: bool = True) -> tuple[PathPart, ...]:
        path: list[PathPart] = []
        for depth, (node, key) in enumerate(zip(self.stack, self.keys, strict=True)):
            if isinstance(node.value, list):
                path.append(len(node.value))
            elif key is not None and (of_key or depth < len(self.stack) - 1):
                path.append(key.text)
        return tuple(path)

    def _fail(self, event: yaml.Event, message: str, hint: str | None = None) -> NoReturn:
        self._report(event, message, hint)
        raise SpecErrors(self.document.errors)


def _place(event: yaml.Event) -> tuple[int, int]:
    """Line and column of an event, from 1."""
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (0, 0)
