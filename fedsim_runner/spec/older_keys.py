"""Keys of an older FederatedScope in a brought file, moved to where v0.3.0 has them, as far as they only moved.

The document itself is changed: what is moved keeps its line, so that mistakes in it name the line where it is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..catalog.federatedscope_keys import KeyPath, Section, known_keys, moved_to, no_longer_read
from ..yamlfile.document import Document, Node


@dataclass
class Moved:
    """What was changed in a file: older keys with their present names, those that no version reads any more, and names
    with dots, as W&B exports them, that repeat what sections say."""

    renamed: dict[KeyPath, KeyPath] = field(default_factory=dict)
    dropped: list[KeyPath] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)

    def note(self, shown: str) -> Iterator[str]:
        """Say what was changed in the file ``shown``."""
        if self.renamed:
            moves = ", ".join(f"{'.'.join(old)} as {'.'.join(new)}" for old, new in self.renamed.items())
            yield f"{shown}: keys of an older FederatedScope are read under their present names: {moves}"
        if self.dropped:
            keys = ", ".join(map(".".join, self.dropped))
            yield f"{shown}: keys of an older FederatedScope that nothing reads any more are left out: {keys}"
        if self.repeated:
            yield f"{shown}: keys with dots that repeat what sections say are left out: {', '.join(self.repeated)}"


def move_older_keys(document: Document) -> Moved:
    """Move the older keys of FederatedScope's tree, which is the whole document.

    A key stays where it is, and is a mistake as before, if its present one is in the file with another value.
    """
    known = known_keys()
    moved = Moved(repeated=list(_repeated(document)))
    older = list(_older(document.root, known, ()))
    if older or moved.repeated:
        document.root = _copied(document.root)  # the aliases of an anchor share their nodes
    for name in moved.repeated:
        del document.root.value[name]
    for path in older:
        target = moved_to(path, known)
        line, column, node = _take(document.root, path)
        if target is None:
            moved.dropped.append(path)
        elif _put(document.root, target, line, column, node):
            moved.renamed[path] = target
        else:
            _put(document.root, path, line, column, node)
    return moved


def _repeated(document: Document) -> Iterator[str]:
    for name, (_, _, node) in document.root.value.items():
        if "." in name and node.value is not None and node.plain() == document.get(tuple(name.split("."))):
            yield name


def _older(node: Node, section: Section | None, at: KeyPath) -> Iterator[KeyPath]:
    """Keys below a mapping that are older ones: those with a value of their own before the sections around them."""
    for name, (_, _, below) in node.value.items():
        if "." in name:
            continue
        path = (*at, name)
        is_present = section is not None and (section.open or name in section.names)
        known = section.sections.get(name) if section is not None else None
        if isinstance(below.value, dict) and (known is not None or not is_present):
            yield from _older(below, known, path)
        elif not is_present and (moved_to(path, known_keys()) is not None or no_longer_read(path)):
            yield path


def _copied(node: Node) -> Node:
    if not isinstance(node.value, dict):
        return node
    value = {name: (line, column, _copied(below)) for name, (line, column, below) in node.value.items()}
    return Node(node.line, node.column, value, node.size, node.height)


def _take(root: Node, path: KeyPath) -> tuple[int, int, Node]:
    """Take a value out of the tree, and the sections that are empty without it."""
    holders = [root]
    for part in path[:-1]:
        holders.append(holders[-1].value[part][2])
    taken: tuple[int, int, Node] = holders[-1].value.pop(path[-1])
    for part, holder, below in reversed(list(zip(path, holders, holders[1:], strict=False))):
        if not below.value:
            del holder.value[part]
    return taken


def _put(root: Node, path: KeyPath, line: int, column: int, node: Node) -> bool:
    """Put a value into the tree, unless another one is there already."""
    holder = root
    for part in path[:-1]:
        if not isinstance(holder.value, dict):
            return False
        _, _, holder = holder.value.setdefault(part, (line, column, Node(line, column, {})))
    if not isinstance(holder.value, dict):
        return False
    there = holder.value.setdefault(path[-1], (line, column, node))[2]
    return bool(there is node or there.plain() == node.plain())
