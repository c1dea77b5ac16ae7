"""Writing and reading inventories and device files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..contract.device_file import read_device_file
from ..contract.paths import DEVICE_FILES
from ..yamlfile.dump import dump
from .build import Inventory

# Ansible takes 26 s to list 2,000 hosts from YAML and a fifth of that from JSON; up to here, YAML is easier to read.
YAML_UP_TO_DEVICES = 50
HOSTS_YAML = "hosts.yml"
HOSTS_JSON = "hosts.json"
HEADER = "# Written by fedsim-provision inventory. Edit the experiment file, or this one by hand.\n"


def write_inventory(inventory: Inventory, folder: Path) -> Path:
    """Write ``hosts.yml`` (or ``hosts.json``) and ``device_files/`` into ``folder``; return the hosts file.

    Raises:
        OSError: the folder cannot be written.
    """
    (folder / DEVICE_FILES).mkdir(parents=True, exist_ok=True)
    hosts_file = HOSTS_YAML
    for name, text in _render(inventory):
        hosts_file = name
        if not _has(folder / name, text):
            (folder / name).write_text(text, encoding="utf-8")
    for path in _left_over(inventory, hosts_file, folder):
        path.unlink()
    return folder / hosts_file


def is_written(inventory: Inventory, folder: Path) -> bool:
    """Whether :func:`write_inventory` would change nothing in ``folder``."""
    hosts_file = HOSTS_YAML
    for name, text in _render(inventory):
        hosts_file = name
        if not _has(folder / name, text):
            return False
    return not _left_over(inventory, hosts_file, folder)


def _render(inventory: Inventory) -> Iterator[tuple[str, str]]:
    """Yield each file's relative path and its text, one after the other; the hosts file is the last one."""
    devices = 0
    for name, content in inventory.device_files.items():
        devices += len(content.devices)
        yield f"{DEVICE_FILES}/{name}.json", content.as_text()
    if devices > YAML_UP_TO_DEVICES:
        yield HOSTS_JSON, json.dumps(inventory.hosts, indent=1) + "\n"
    else:
        yield HOSTS_YAML, HEADER + dump(inventory.hosts)


def _left_over(inventory: Inventory, hosts_file: str, folder: Path) -> list[Path]:
    """The files of an earlier inventory in ``folder`` that this one does not have."""
    found = [folder / name for name in {HOSTS_YAML, HOSTS_JSON} - {hosts_file}]
    found += [path for path in (folder / DEVICE_FILES).glob("*.json") if path.stem not in inventory.device_files]
    return [path for path in found if path.exists()]


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
