"""Values as FederatedScope reads them from its configuration."""

from __future__ import annotations

import ast
from typing import Any


def decoded(value: Any) -> Any:
    """FederatedScope reads text as a Python literal where it can: ``"1e-3"`` is a number, and so is ``"7"``."""
    if not isinstance(value, str):
        return value
    try:
        return ast.literal_eval(str(value))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return value if type(value) is str else str(value)
