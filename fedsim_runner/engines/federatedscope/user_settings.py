"""What the user has configured for FederatedScope, in the section ``federatedscope`` of the user configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fedsim_runner.spec.user_configuration import UserConfigurationError, config_path, read_user_configuration

from .source import SettingsError, parse_source

__all__ = ["UserSettings", "config_path", "user_settings"]


@dataclass(frozen=True)
class UserSettings:
    """What the user has configured, paths absolute; None: nothing."""

    source: str | None = None
    python: str | None = None


def user_settings(path: Path | None = None) -> UserSettings:
    """Read the file; without one everything is unset.

    Raises:
        SettingsError: it cannot be read or is wrong; the text lists every mistake with its line.
    """
    path = path or config_path()
    try:
        entry = read_user_configuration(path).federatedscope
    except UserConfigurationError as error:
        raise SettingsError(str(error)) from error
    source = None
    if entry.source is not None:
        source = parse_source(entry.source, path.parent, f"{path}: federatedscope.source").text
    try:
        python = None if entry.python is None else _absolute(entry.python, path.parent)
    except RuntimeError as error:
        raise SettingsError(f'{path}: federatedscope.python: "{entry.python}": there is no such user here') from error
    return UserSettings(source, python)


def _absolute(python: str, folder: Path) -> str:
    """A path from the file's folder; a bare name is searched on the PATH and stays as it is."""
    return str(folder / Path(python).expanduser()) if "/" in python else python
