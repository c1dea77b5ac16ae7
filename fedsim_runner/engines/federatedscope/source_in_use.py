"""Which source of FederatedScope is in use: the first one that is named, in the order that :mod:`.source` gives."""

from __future__ import annotations

import os
from pathlib import Path

from .source import DEFAULT_SOURCE, FROM_DEFAULT, FROM_SPEC, SOURCE_VARIABLE, Source, parse_source


def resolve_source(named: str | None = None, origin: str = FROM_SPEC) -> Source:
    """Return the source in use; ``named`` is what ``origin`` says, with absolute paths.

    Raises:
        SettingsError: the variable or the user's configuration file is wrong.
    """
    if named:
        return parse_source(named, Path.cwd(), origin)
    variable = os.environ.get(SOURCE_VARIABLE)
    if variable:
        return parse_source(variable, Path.cwd(), SOURCE_VARIABLE)
    # Brings pydantic, which a run whose files name the source does not need.
    from .user_settings import config_path, user_settings

    configured = user_settings().source
    if configured:
        return parse_source(configured, Path.cwd(), str(config_path()))
    return parse_source(DEFAULT_SOURCE, Path.cwd(), FROM_DEFAULT)
