"""This user's folders for state, cache and configuration: on Linux those of the XDG base directory specification."""

from __future__ import annotations

from pathlib import Path

import platformdirs

NAME = "fedsim"
STATE_HINT = "XDG_STATE_HOME names another folder"


def state_home() -> Path:
    """Registry of runs, errors: ``$XDG_STATE_HOME/fedsim``, else ``~/.local/state/fedsim``."""
    return platformdirs.user_state_path(NAME, appauthor=False)


def cache_dir() -> Path:
    """Wheels and root file systems: ``$XDG_CACHE_HOME/fedsim``, else ``~/.cache/fedsim``."""
    return platformdirs.user_cache_path(NAME, appauthor=False)


def config_dir() -> Path:
    """The user's own configuration: ``$XDG_CONFIG_HOME/fedsim``, else ``~/.config/fedsim``."""
    return platformdirs.user_config_path(NAME, appauthor=False)
