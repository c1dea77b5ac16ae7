"""JSON text with one entry on a line: short enough for large runs, and still to be read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def in_lines(content: Mapping[str, Any]) -> str:
    """Return an object's text: its keys, and the entries of lists and objects in it, have a line each."""
    return "{\n" + ",\n".join(f" {json.dumps(key)}: {_entries(value)}" for key, value in content.items()) + "\n}\n"


def _entries(value: Any) -> str:
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(f"  {json.dumps(item)}" for item in value) + "\n ]"
    if isinstance(value, dict) and value:
        items = ",\n".join(f"  {json.dumps(key)}: {json.dumps(item)}" for key, item in value.items())
        return "{\n" + items + "\n }"
    return json.dumps(value)
