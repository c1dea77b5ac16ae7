"""One comparison drives both ``changed`` and ``--diff``."""

from __future__ import annotations

import json
from typing import Any


class Differences:
    """The items in which the requested and the actual state differ, in the order of comparison."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []

    def __bool__(self) -> bool:
        return bool(self.items)

    def add(self, item: str, before: Any, after: Any) -> None:
        """Record a difference without comparing."""
        self.items.append({"item": item, "before": before, "after": after})

    def compare(self, item: str, before: Any, after: Any) -> bool:
        """Compare, record a difference, and return whether there is one."""
        if before == after:
            return False
        self.add(item, before, after)
        return True


def render_diff(per_object: dict[str, list[dict[str, Any]]], header: str) -> dict[str, str]:
    """Return Ansible's before/after texts; objects without differences are left out."""
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for name, items in sorted(per_object.items()):
        if items:
            before[name] = {entry["item"]: entry["before"] for entry in items}
            after[name] = {entry["item"]: entry["after"] for entry in items}
    return {
        "before_header": header,
        "after_header": header,
        "before": _render(before),
        "after": _render(after),
    }


def _render(tree: dict[str, Any]) -> str:
    return json.dumps(tree, indent=2, sort_keys=True) + "\n" if tree else ""
