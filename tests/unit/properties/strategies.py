"""What people, programs and broken disks put into files."""

from __future__ import annotations

import copy
import math
from typing import Any

from hypothesis import strategies as st

# Numbers and words that have hurt programs, next to those that hypothesis thinks of.
_WORDS = ("", " ", "..", "/", "../../etc", "server", "mote-1", "null", "~", "no", "0x10", "1e400", "{{ 1 }}", "%s")
_LETTERS = ("9" * 401, "a" * 300, "ä", "\0", "\x1b[2J", "\x9b", "\u2028", "\u202e")
NASTY_TEXT = st.sampled_from((*_WORDS, *_LETTERS))
NASTY_NUMBERS = st.sampled_from(
    [0, -1, 1, 2**31, 2**63, 10**400, -(10**400), 0.0, -0.0, 1e308, 5e-324, math.inf, -math.inf, math.nan]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | NASTY_NUMBERS | NASTY_TEXT | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NASTY_TEXT | st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values in a tree, except its root."""
    items: list[tuple[Any, Any]] = []
    if isinstance(tree, dict):
        items = list(tree.items())
    elif isinstance(tree, list):
        items = list(enumerate(tree))
    found = []
    for key, value in items:
        found += [(*path, key), *places(value, (*path, key))]
    return found


@st.composite
def changed(draw: st.DrawFn, tree: Any, most: int = 4) -> Any:
    """The tree with one to ``most`` of its values replaced, removed, doubled, or given a neighbour."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(1, most))):
        found = places(tree)
        if not found:
            break
        *above, key = draw(st.sampled_from(found))
        parent = tree
        for part in above:
            parent = parent[part]
        how = draw(st.sampled_from(["replace", "replace", "remove", "add", "double"]))
        if how == "replace":
            parent[key] = draw(VALUES)
        elif how == "remove":
            del parent[key]
        elif isinstance(parent, list):
            parent.append(draw(VALUES) if how == "add" else copy.deepcopy(parent[key]))
        else:
            parent[draw(NASTY_TEXT)] = draw(VALUES) if how == "add" else copy.deepcopy(parent[key])
    return tree


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """The content cut off, with a part missing or doubled, or with foreign bytes in it."""
    start = draw(st.integers(0, len(content)))
    end = draw(st.integers(start, min(len(content), start + 200)))
    how = draw(st.sampled_from(["cut", "hole", "double", "foreign", "zeros", "all"]))
    if how == "cut":
        return content[:start]
    if how == "hole":
        return content[:start] + content[end:]
    if how == "double":
        return content[:end] + content[start:]
    if how == "zeros":
        return content[:start] + bytes(end - start) + content[end:]
    foreign = draw(st.binary(max_size=40) | NASTY_TEXT.map(str.encode))
    return foreign if how == "all" else content[:start] + foreign + content[end:]
