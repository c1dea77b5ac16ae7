"""Writing and reading inventories and device files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..contract.device_file import read_device_file
from ..contract.paths import DEVICE_FILES
from ..yamlfile.dump import dump
from .build import Inventory

# Ansible takes 26 s to list 2,000 hosts from YAML and a fifth of that from JSON; up to here, YAML is easier to read.
YAML_UP_TO_DEVICES = 50
HEADER = "# Written by fedsim-provision inventory. Edit the experiment file, or this one by hand.\n"


def write_inventory(inventory: Inventory, folder: Path) -> Path:
    """Write ``hosts.yml`` (or ``hosts.json``) and ``device_files/`` into ``folder``; return the hosts file.

    Raises:
        OSError: the folder cannot be written.
    """
    (folder / DEVICE_FILES).mkdir(parents=True, exist_ok=True)
    files = _render(inventory)
    for name in {"hosts.yml", "hosts.json"} - set(files):
        (folder / name).unlink(missing_ok=True)
    for name, text in files.items():
        if not _has(folder / name, text):
            (folder / name).write_text(text, encoding="utf-8")
    return folder / list(files)[-1]


def is_written(inventory: Inventory, folder: Path) -> bool:
    """Whether :func:`write_inventory` would change nothing in ``folder``."""
    return all(_has(folder / name, text) for name, text in _render(inventory).items())


def _render(inventory: Inventory) -> dict[str, str]:
    """The files by relative path; the hosts file is the last one."""
    contents = inventory.device_files
    files = {f"{DEVICE_FILES}/{name}.json": json.dumps(content, indent=1) + "\n" for name, content in contents.items()}
    if sum(len(content["devices"]) for content in contents.values()) > YAML_UP_TO_DEVICES:
        return {**files, "hosts.json": json.dumps(inventory.hosts, indent=1) + "\n"}
    return {**files, "hosts.yml": HEADER + dump(inventory.hosts)}


def _has(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() == text.encode()
    except OSError:
        return False  # writing will report what is wrong


def read_device_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Read the device files of an inventory folder, by lab host name.

    Raises:
        DeviceFileError: a file cannot be read or has another version.
    """
    return {path.stem: read_device_file(path).as_dict() for path in sorted((folder / DEVICE_FILES).glob("*.json"))}
