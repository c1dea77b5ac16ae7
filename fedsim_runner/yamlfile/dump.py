"""Plain values -> YAML text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

# libyaml writes the same text as the Python code that stands in for it, in a fifth of the time.
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def dump(value: object, *, sort_keys: bool = False) -> str:
    """Return block-style YAML with lines of at most about 110 characters.

    Raises:
        yaml.representer.RepresenterError: ``value`` holds something that is not a plain value.
    """
    text: str = yaml.dump(value, Dumper=_DUMPER, sort_keys=sort_keys, width=110)
    return text


def dump_line(value: object) -> str:
    """Return YAML in one line, also of what was read from a file: its text may know more than plain text.

    Raises:
        yaml.representer.RepresenterError: ``value`` holds something that is not a plain value.
    """
    text: str = yaml.dump(_plain(value), Dumper=_DUMPER, sort_keys=False, width=1_000_000, default_flow_style=True)
    return text.removesuffix("\n").removesuffix("\n...")


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(below) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(below) for below in value]
    return str(value) if isinstance(value, str) else value
