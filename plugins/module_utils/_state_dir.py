"""The run's state folder on a lab host: its layout, and unpacking inputs into it."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path, PurePosixPath

from ansible_collections.fedsim.testbed.plugins.module_utils._contract import atomic
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.errors import Exit, FedsimError
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.names import DEVICE_UID
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.paths import StateFolder
from ansible_collections.fedsim.testbed.plugins.module_utils._difference import Differences
from ansible_collections.fedsim.testbed.plugins.module_utils._folder_removal import remove_folder


class UnsafeArchiveError(FedsimError):
    """An archive has a member that lies outside the folder or is not a regular file."""

    exit = Exit.PROVISIONING


def plan_folders(state: StateFolder, devices: list[str]) -> dict[Path, tuple[int, int]]:
    """Return the folders of the state folder with their mode and owner (uid = gid)."""
    folders = dict.fromkeys((state.path, state.gate, state.agent, state.cursors, state.devices), (0o755, 0))
    for device in devices:
        folders[state.device(device)] = (0o755, 0)
        folders[state.inputs(device)] = (0o755, 0)
        folders[state.outputs(device)] = (0o755, DEVICE_UID)
    return folders


def make_folders(folders: dict[Path, tuple[int, int]], check: bool, differences: Differences) -> None:
    """Create folders and correct their mode and owner."""
    for path, (mode, owner) in folders.items():
        try:
            found = path.stat()
        except FileNotFoundError:
            differences.add(str(path), None, "folder")
            if not check:
                path.mkdir(parents=True)
                os.chown(path, owner, owner)
                path.chmod(mode)
            continue
        if differences.compare(f"{path} mode", oct(found.st_mode & 0o777), oct(mode)) and not check:
            path.chmod(mode)
        if differences.compare(f"{path} owner", found.st_uid, owner) and not check:
            os.chown(path, owner, owner)


def make_empty_output_folder(folder: Path) -> None:
    """Make a device's output folder, empty and owned by the user that its container runs as."""
    if folder.exists():
        remove_folder(folder)
    folder.mkdir(parents=True)
    os.chown(folder, DEVICE_UID, DEVICE_UID)


def write_if_different(path: Path, content: bytes, mode: int, check: bool) -> bool:
    """Write a file atomically if its content differs; return whether it did."""
    try:
        if path.read_bytes() == content:
            return False
    except FileNotFoundError:
        pass
    if not check:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(path, content, mode)
    return True


def list_safe_members(archive: tarfile.TarFile) -> list[tuple[PurePosixPath, tarfile.TarInfo]]:
    """Return the regular files of an archive with their relative paths.

    Raises:
        UnsafeArchiveError: a member is absolute, climbs out, or is a link or a device.
    """
    members = []
    for member in archive.getmembers():
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts:
            raise UnsafeArchiveError(f"{member.name} lies outside the folder")
        if member.isdir():
            continue
        if not member.isfile():
            raise UnsafeArchiveError(f"{member.name} is not a regular file")
        members.append((path, member))
    return members
