"""The user's own configuration: ``$XDG_CONFIG_HOME/fedsim/config.yaml``, else ``~/.config/fedsim/config.yaml``.

::

    federatedscope:
      source: ~/FederatedScope          # checkout, wheel, git URL or pip requirement
      python: ~/fs-venv/bin/python      # interpreter with FederatedScope's packages, for runs without Docker
    lab:
      inventory: ~/labs/ours            # the lab of every run that names no other

All keys may be left out, and so may the file. Relative paths start at the file's folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from ..catalog.entries import Entry
from ..contract.errors import Exit, FedsimError
from ..user_folders import config_dir
from ..yamlfile.document import parse, read_text
from ..yamlfile.spec_errors import SpecErrors
from .validation_messages import explain


class UserConfigurationError(FedsimError):
    """The file cannot be read or is wrong; the text lists every mistake with its line."""

    exit = Exit.SPEC


class FederatedScopeEntry(Entry):
    """The section ``federatedscope``."""

    source: str | None = Field(default=None, description="Where FederatedScope comes from.")
    python: str | None = Field(default=None, description="Interpreter for runs without Docker.")


class LabEntry(Entry):
    """The section ``lab``."""

    inventory: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="Ansible inventory of the lab that runs are on."
    )


class ConfigFile(Entry):
    """The whole file."""

    federatedscope: FederatedScopeEntry = Field(default_factory=FederatedScopeEntry)
    lab: LabEntry = Field(default_factory=LabEntry)


def config_path() -> Path:
    """The path of the file; it need not exist."""
    return config_dir() / "config.yaml"


def read_user_configuration(path: Path) -> ConfigFile:
    """Read the file; without one everything is unset.

    Raises:
        UserConfigurationError: it cannot be read or is wrong.
    """
    if not path.exists():
        return ConfigFile()
    if path.is_dir():
        raise UserConfigurationError(f"the user configuration {path} is a directory; it must be a YAML file")
    try:
        text = read_text(path)
        if all(line.lstrip().startswith("#") for line in text.splitlines() if line.strip()):
            return ConfigFile()
        document = parse(text, str(path))
        raw = document.value()
        for section in ConfigFile.model_fields:
            if raw.get(section) is None:
                raw.pop(section, None)  # everything below the key is commented out
        try:
            entry = ConfigFile.model_validate(raw)
        except ValidationError as error:
            explain(error, ConfigFile, document)
            entry = ConfigFile()
        if document.errors:
            raise SpecErrors(document.errors)
    except SpecErrors as errors:
        raise UserConfigurationError(f"the user configuration is wrong:\n{errors}") from errors
    except OSError as error:
        raise UserConfigurationError(f"the user configuration {path}: {error.strerror}") from error
    return entry
