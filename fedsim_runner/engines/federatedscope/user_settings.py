"""The user's own configuration: ``$XDG_CONFIG_HOME/fedsim/config.yaml``, else ``~/.config/fedsim/config.yaml``.

::

    federatedscope:
      source: ~/FederatedScope          # checkout, wheel, git URL or pip requirement
      python: ~/fs-venv/bin/python      # interpreter with FederatedScope's packages, for runs without Docker

Both keys may be left out, and so may the file. Relative paths start at the file's folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from fedsim_runner.catalog.entries import Entry
from fedsim_runner.spec.validation_messages import explain
from fedsim_runner.user_folders import config_dir
from fedsim_runner.yamlfile.document import parse, read_text
from fedsim_runner.yamlfile.spec_errors import SpecErrors

from .source import SettingsError, parse_source


class FederatedScopeEntry(Entry):
    """The section ``federatedscope``."""

    source: str | None = Field(default=None, description="Where FederatedScope comes from.")
    python: str | None = Field(default=None, description="Interpreter for runs without Docker.")


class ConfigFile(Entry):
    """The whole file."""

    federatedscope: FederatedScopeEntry = Field(default_factory=FederatedScopeEntry)


@dataclass(frozen=True)
class UserSettings:
    """What the user has configured, paths absolute; None: nothing."""

    source: str | None = None
    python: str | None = None


def config_path() -> Path:
    """The path of the file; it need not exist."""
    return config_dir() / "config.yaml"


def user_settings(path: Path | None = None) -> UserSettings:
    """Read the file; without one everything is unset.

    Raises:
        SettingsError: it cannot be read or is wrong; the text lists every mistake with its line.
    """
    path = path or config_path()
    if not path.exists():
        return UserSettings()
    if path.is_dir():
        raise SettingsError(f"the user configuration {path} is a directory; it must be a YAML file")
    try:
        text = read_text(path)
        if all(line.lstrip().startswith("#") for line in text.splitlines() if line.strip()):
            return UserSettings()
        document = parse(text, str(path))
        raw = document.value()
        section = raw.get("federatedscope")
        if section is None:
            raw.pop("federatedscope", None)  # everything below the key is commented out
        try:
            entry = ConfigFile.model_validate(raw).federatedscope
        except ValidationError as error:
            explain(error, ConfigFile, document)
            entry = FederatedScopeEntry()
        if document.errors:
            raise SpecErrors(document.errors)
    except SpecErrors as errors:
        raise SettingsError(f"the user configuration is wrong:\n{errors}") from errors
    except OSError as error:
        raise SettingsError(f"the user configuration {path}: {error.strerror}") from error
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
