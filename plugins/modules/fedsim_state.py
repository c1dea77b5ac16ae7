#!/usr/bin/python
"""Fill the run's state folder on a lab host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fedsim_state
short_description: Fill the state folder of a run on a lab host
description:
  - Makes the folders that the containers and the agent mount, and unpacks the participants' inputs and the device file
    into them. A file is written only if its content differs.
  - Chooses the uids of the run's devices on this lab host. Only root and the one device read a device's files.
  - Input files that are not in the archive are removed.
  - Records in it which Engine carries the run. A run that is on another Engine is left alone.
author: fedsim-runner (@fedsim-runner)
extends_documentation_fragment:
  - fedsim.testbed.attributes
  - fedsim.testbed.docker
  - fedsim.testbed.run
  - fedsim.testbed.run.control
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Folders and files that differ; only the size of files.
options:
  state_dir:
    description: The state folder.
    type: path
    required: true
  archive:
    description:
      - Tar file on the lab host with C(device_file.json) and C(devices/<device>/in/<file>).
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Inputs of the devices
  fedsim.testbed.fedsim_state:
    run: quickstart
    state_dir: /var/lib/fedsim/quickstart
    archive: /var/lib/fedsim/quickstart/participants.tar
"""

RETURN = r"""
written:
  description: Files written or removed, relative to the state folder.
  returned: always
  type: list
  elements: str
"""

import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._contract.device_file import DeviceFile
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.engine_address import check_engine_of
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.paths import (
    DEVICE_FILE,
    ENGINE_FILE,
    StateFolder,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._device_users import users_of_devices
from ansible_collections.fedsim.testbed.plugins.module_utils._difference import Differences
from ansible_collections.fedsim.testbed.plugins.module_utils._module import (
    CONTROL,
    DOCKER,
    RUN,
    STATE_DIR,
    Call,
    FailedError,
    Module,
    build_answer,
    run_module,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._state_dir import (
    PRIVATE_FILE,
    PUBLIC_FILE,
    Access,
    UnsafeArchiveError,
    correct_access,
    give,
    input_access,
    list_safe_members,
    make_folders,
    plan_folders,
    write_if_different,
)

ARGUMENTS: dict[str, Any] = {
    "archive": {"type": "path", "required": True},
    **RUN,
    **CONTROL,
    **STATE_DIR,
    **DOCKER,
}


def read_archive(path: str) -> dict[str, bytes]:
    """Return the content of each file of the archive by its relative path."""
    found = {}
    with tarfile.open(path) as archive:
        for name, member in list_safe_members(archive):
            stream = archive.extractfile(member)
            if stream is not None:
                found[str(name)] = stream.read()
    return found


def read_users(state: StateFolder, files: Mapping[str, bytes], check: bool) -> dict[str, int]:
    """Return the uids of the devices of the packed device file, by name."""
    content = DeviceFile.from_dict(json.loads(files[DEVICE_FILE])).as_dict()
    return users_of_devices(state, content, check)


def plan_access(name: str, users: Mapping[str, int]) -> Access:
    """Return who may use the file with this name in the state folder."""
    parts = name.split("/")
    if parts[0] == "devices" and len(parts) == 4 and parts[1] in users:
        return input_access(users[parts[1]])
    return PUBLIC_FILE if name == ENGINE_FILE else PRIVATE_FILE


def unpack(
    state: StateFolder, files: Mapping[str, bytes], users: Mapping[str, int], check: bool, differences: Differences
) -> list[str]:
    written = []
    for name, content in sorted(files.items()):
        path = state.path / name
        access = plan_access(name, users)
        before = path.stat().st_size if path.exists() else None
        if write_if_different(path, content, access.mode, check):
            differences.add(name, before, len(content))
            written.append(name)
            if not check:
                give(path, access)
        elif correct_access(path, access, check, differences):
            written.append(name)
    for device in users:
        folder = state.inputs(device)
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            name = str(path.relative_to(state.path))
            if name not in files:
                differences.add(name, path.stat().st_size, None)
                written.append(name)
                if not check:
                    path.unlink()
    return written


def work(call: Call) -> dict[str, Any]:
    call.claim_run(call.params["state_dir"], make=True)
    state = StateFolder(Path(call.params["state_dir"]))
    check_engine_of(state, call.params["docker_host"])
    differences = Differences()
    written: list[str] = []
    try:
        if not Path(call.params["archive"]).exists() and call.check:
            # In check mode the archive was not copied either: all of it is still to be done.
            differences.add("archive", None, call.params["archive"])
        else:
            files = read_archive(call.params["archive"])
            if DEVICE_FILE not in files:
                raise UnsafeArchiveError(f"{call.params['archive']} has no {DEVICE_FILE}")
            users = read_users(state, files, call.check)
            make_folders(plan_folders(state, users), call.check, differences)
            files[ENGINE_FILE] = call.params["docker_host"].encode() + b"\n"
            written = unpack(state, files, users, call.check, differences)
    except UnsafeArchiveError as error:
        raise FailedError(f"state folder {state.path}: {error}") from error
    return build_answer("state folder", call.run, differences, written=written)


MODULE = Module(ARGUMENTS, work, "state folder {state_dir}", expected=(ValueError, tarfile.TarError, OSError))


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
