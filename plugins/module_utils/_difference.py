"""One comparison drives both ``changed`` and ``--diff``."""

from __future__ import annotations

import json
from typing import Any


class Differences:
    """What differs between the wanted and the real, item by item, in the order it was compared."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []

    def __bool__(self) -> bool:
        return bool(self.items)

    def add(self, item: str, before: Any, after: Any) -> None:
        """Record a difference that is known to be one."""
        self.items.append({"item": item, "before": before, "after": after})

    def compare(self, item: str, before: Any, after: Any) -> bool:
        """Compare, record if different, and say whether it is."""
        if before == after:
            return False
        self.add(item, before, after)
        return True


def render_diff(per_object: dict[str, list[dict[str, Any]]], header: str) -> dict[str, str]:
    """Ansible's before/after texts of the objects that differ; objects without differences are left out."""
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for name, items in sorted(per_object.items()):
        if items:
            before[name] = {entry["item"]: entry["before"] for entry in items}
            after[name] = {entry["item"]: entry["after"] for entry in items}
    return {
        "before_header": header,
        "after_header": header,
        "before": _text(before),
        "after": _text(after),
    }


def _text(tree: dict[str, Any]) -> str:
    return json.dumps(tree, indent=2, sort_keys=True) + "\n" if tree else ""
