"""This user's folders: that for state, cache and configuration of the XDG base directory specification, and homes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import platformdirs

from .contract.errors import Exit, FedsimError

NAME = "fedsim"
STATE_HINT = "XDG_STATE_HOME names another folder"


def state_home() -> Path:
    """Registry of runs, errors: ``$XDG_STATE_HOME/fedsim``, else ``~/.local/state/fedsim``.

    Raises:
        FedsimError: the user has no home folder.
    """
    return _found(platformdirs.user_state_path)


def cache_dir() -> Path:
    """Wheels and root file systems: ``$XDG_CACHE_HOME/fedsim``, else ``~/.cache/fedsim``.

    Raises:
        FedsimError: the user has no home folder.
    """
    return _found(platformdirs.user_cache_path)


def config_dir() -> Path:
    """The user's own configuration: ``$XDG_CONFIG_HOME/fedsim``, else ``~/.config/fedsim``.

    Raises:
        FedsimError: the user has no home folder.
    """
    return _found(platformdirs.user_config_path)


def expand_user(path: str | Path, option: str) -> Path:
    """A path of the command line, with the home folder of a user in place of ``~``, as a shell would write it.

    ``option``: what names the path, in errors.

    Raises:
        FedsimError: there is no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise FedsimError(f"{option} {path}: there is no such user here", Exit.SPEC) from error


def _found(folder: Callable[..., Path]) -> Path:
    try:
        path = folder(NAME, appauthor=False)
    except RuntimeError:  # of newer versions of platformdirs
        path = Path("~")
    if path.parts[:1] == ("~",):  # it would be made in the current folder
        text = f"user {os.geteuid()} has no home folder: HOME is not set, and the user database does not know the user"
        raise FedsimError(text, Exit.SPEC, hint="set HOME to a folder that can be written")
    return path
