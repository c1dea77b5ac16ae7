"""What an event of the journal says that devices then had: those that have the same together. Pure."""

from __future__ import annotations

from collections.abc import Mapping

_NAMED = 3  # devices by name, of those that have the same
_SHOWN = 5  # different texts


def describe_together(found: Mapping[str, str]) -> list[str]:
    """``a, b and 48 more: reached by nobody``: what devices have, each text once.

    Args:
        found: by device.
    """
    alike: dict[str, list[str]] = {}
    for name, text in found.items():
        alike.setdefault(text, []).append(name)
    lines = [f"{_listed(names)}: {text}" for text, names in list(alike.items())[:_SHOWN]]
    left = sum(map(len, alike.values())) - sum(len(names) for names in list(alike.values())[:_SHOWN])
    return [*lines, f"and {left} more devices"] if left else lines


def _listed(names: list[str]) -> str:
    if len(names) <= _NAMED + 1:
        return ", ".join(names)
    return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"
