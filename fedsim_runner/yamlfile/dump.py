"""Plain values -> YAML text."""

from __future__ import annotations

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
