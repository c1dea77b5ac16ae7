"""Which lab a command works on: the one that it names, the one of the run, or the user's default."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..contract.errors import Exit, FedsimError
from ..lab.access import NO_KEYS, THIS_MACHINE, LabAccess, LabKeys
from ..lab.ansible_inventory import load_lab
from ..lab.host import LabHost
from ..lab.usable_hosts import list_lab_hosts
from ..spec.user_configuration import config_path, read_user_configuration
from ..testbed.installed import DEFAULT
from ..testbed.protocol import Testbed
from ..user_folders import expand_user

#: Names this machine where the user configuration has a lab.
LOCAL: Final = "local"


@dataclass(frozen=True)
class LabOptions:
    """What the command line says about the lab. ``named``: its inventory, or :data:`LOCAL`; None: nothing."""

    named: str | None = None
    keys: LabKeys = NO_KEYS
    allow_missing: bool = False


NO_OPTIONS: Final = LabOptions()


def choose_lab(testbed: Testbed, options: LabOptions = NO_OPTIONS) -> tuple[Testbed, Path | None]:
    """The testbed on the lab of a new run, and the lab's inventory: the named one, else the user's default.

    Raises:
        FedsimError: the inventory or the user configuration is wrong, or this testbed is on no lab.
    """
    inventory = named_inventory(options)
    if options.named is None and testbed.traits.name == DEFAULT:
        inventory = default_inventory()
    return _on(testbed, inventory, options), inventory


def on_lab_of_run(testbed: Testbed, recorded: Path | None, is_recorded: bool, options: LabOptions) -> Testbed:
    """The testbed on the lab of a run: the named one, else where the run was recorded to be, else the user's default.

    Raises:
        FedsimError: as :func:`choose_lab`.
    """
    if options.named is None and is_recorded:
        return _on(testbed, recorded, options)
    return choose_lab(testbed, options)[0]


def named_inventory(options: LabOptions) -> Path | None:
    """The inventory that the command line names.

    Raises:
        FedsimError: it is empty, or its path names a user that there is not.
    """
    if options.named in (None, LOCAL):
        return None
    if not str(options.named).strip():
        raise FedsimError("-i: no inventory is named", Exit.SPEC, f"give its path, or `{LOCAL}` for this machine")
    return expand_user(str(options.named), "-i").resolve()


def default_inventory() -> Path | None:
    """The inventory of the user's default lab.

    Raises:
        FedsimError: the user configuration is wrong.
    """
    path = config_path()
    named = read_user_configuration(path).lab.inventory
    return None if named is None else (path.parent / expand_user(named, f"{path}: lab.inventory:")).resolve()


def hosts_of(options: LabOptions) -> tuple[Sequence[LabHost], LabAccess]:
    """The lab hosts that a command is about which is about no run, and how to reach them.

    Raises:
        FedsimError: the inventory or the user configuration is wrong.
    """
    inventory = default_inventory() if options.named is None else named_inventory(options)
    access = LabAccess(inventory, options.keys, options.allow_missing)
    return (list_lab_hosts() if inventory is None else load_lab(access)), access


def _on(testbed: Testbed, inventory: Path | None, options: LabOptions) -> Testbed:
    access = LabAccess(inventory, options.keys, options.allow_missing)
    return testbed if access == THIS_MACHINE else testbed.on_lab(access)
