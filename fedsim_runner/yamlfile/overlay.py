"""One document's values over another's: a file, and what is written beside its name to change it."""

from __future__ import annotations

from .document import Document, Node


def lay_over(below: Document, over: Document) -> None:
    """Put the values of ``over`` in place of those of ``below``; mistakes at them will name its file and lines.

    Mappings are merged key by key; anything else is replaced as a whole. Both keep their mistakes in one list.
    """
    node = over.root
    for part in over.base:
        node = node.value[part][2]
    below.root = _merge(below.root, node)
    below.over = over
    below.errors = over.errors


def _merge(below: Node, over: Node) -> Node:
    """Nodes are copied, as the aliases of an anchor share theirs."""
    if not (isinstance(below.value, dict) and isinstance(over.value, dict)):
        return over
    merged = dict(below.value)
    for key, (line, column, node) in over.value.items():
        known = merged.get(key)
        merged[key] = (line, column, node) if known is None else (*known[:2], _merge(known[2], node))
    return Node(below.line, below.column, merged)
