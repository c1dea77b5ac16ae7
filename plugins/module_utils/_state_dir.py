"""The run's state folder on a lab host: its layout, and unpacking inputs into it."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ansible_collections.fedsim.testbed.plugins.module_utils._contract import atomic
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.errors import Exit, FedsimError
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.paths import StateFolder
from ansible_collections.fedsim.testbed.plugins.module_utils._device_users import STATE_MODE
from ansible_collections.fedsim.testbed.plugins.module_utils._difference import Differences
from ansible_collections.fedsim.testbed.plugins.module_utils._folder_removal import remove_folder

ROOT = 0


class UnsafeArchiveError(FedsimError):
    """An archive has a member that lies outside the folder or is not a regular file."""

    exit = Exit.PROVISIONING


@dataclass(frozen=True)
class Access:
    """Who may use a file or folder. Everything in the state folder belongs to root, or to the one device it is for."""

    mode: int
    owner: int = ROOT
    group: int = ROOT


#: What the agent writes, and what only root reads.
PRIVATE_FOLDER = Access(0o700)
PRIVATE_FILE = Access(0o600)
#: What a run is, not what it does: others may know.
PUBLIC_FILE = Access(0o644)
#: Every device looks into the gate, each as another user. It holds names of devices, and why clients were given up.
GATE_FOLDER = Access(0o755)
#: On the way to something: others pass through, but see no names.
PASSAGE = Access(STATE_MODE)


def plan_folders(state: StateFolder, users: Mapping[str, int]) -> dict[Path, Access]:
    """Return the folders of the state folder and who may use them. ``users``: the devices' uids."""
    folders = {
        state.path: PASSAGE,
        state.gate: GATE_FOLDER,
        state.agent: PRIVATE_FOLDER,
        state.cursors: PRIVATE_FOLDER,
        state.devices: PASSAGE,
    }
    for device, user in users.items():
        folders[state.device(device)] = PASSAGE
        folders[state.inputs(device)] = Access(0o750, ROOT, user)
        folders[state.outputs(device)] = output_access(user)
    return folders


def output_access(user: int) -> Access:
    """Who may use the out folder of the device with this uid: only the device, and root."""
    return Access(0o700, user, user)


def input_access(user: int) -> Access:
    """Who may use an input file of the device with this uid: it may be read by the device, and written by root."""
    return Access(0o640, ROOT, user)


def make_folders(folders: Mapping[Path, Access], check: bool, differences: Differences) -> None:
    """Create folders, and correct who may use them."""
    for path, access in folders.items():
        if path.exists():
            correct_access(path, access, check, differences)
            continue
        differences.add(str(path), None, "folder")
        if not check:
            path.mkdir(parents=True)
            give(path, access)


def correct_access(path: Path, access: Access, check: bool, differences: Differences) -> bool:
    """Record where a file or folder may be used by others than ``access`` says, and correct it. Return whether it was.

    Raises:
        OSError: it is not there, or cannot be changed.
    """
    found = path.stat()
    wrong = [
        differences.compare(f"{path} mode", oct(found.st_mode & 0o777), oct(access.mode)),
        differences.compare(f"{path} owner", f"{found.st_uid}:{found.st_gid}", f"{access.owner}:{access.group}"),
    ]
    if any(wrong) and not check:
        give(path, access)
    return any(wrong)


def give(path: Path, access: Access) -> None:
    """Set owner, group and mode."""
    os.chown(path, access.owner, access.group)
    path.chmod(access.mode)


def make_empty_output_folder(folder: Path, user: int) -> None:
    """Make a device's output folder, empty and for the user that its container runs as."""
    if folder.exists():
        remove_folder(folder)
    folder.mkdir(parents=True, mode=0o700)
    give(folder, output_access(user))


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
