#!/usr/bin/python
"""Fill the run's state folder on a lab host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fedsim_state
short_description: Fill the state folder of a run on a lab host
description:
  - Makes the folders that the containers and the agent mount, with the owners they need, and unpacks the participants'
    inputs and the device file into them. A file is written only if its content differs.
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

import tarfile
from pathlib import Path
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._contract.engine_address import check_engine_of
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.paths import (
    ENGINE_FILE,
    StateFolder,
)
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
    UnsafeArchiveError,
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


def list_devices(files: dict[str, bytes]) -> list[str]:
    return sorted({name.split("/")[1] for name in files if name.startswith("devices/") and name.count("/") == 3})


def unpack(state_dir: Path, files: dict[str, bytes], check: bool, differences: Differences) -> list[str]:
    written = []
    for name, content in sorted(files.items()):
        path = state_dir / name
        before = path.stat().st_size if path.exists() else None
        if write_if_different(path, content, 0o644, check):
            differences.add(name, before, len(content))
            written.append(name)
    for device in list_devices(files):
        folder = StateFolder(state_dir).inputs(device)
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            name = str(path.relative_to(state_dir))
            if name not in files:
                differences.add(name, path.stat().st_size, None)
                written.append(name)
                if not check:
                    path.unlink()
    return written


def work(call: Call) -> dict[str, Any]:
    call.claim_run(call.params["state_dir"], make=True)
    state_dir = Path(call.params["state_dir"])
    check_engine_of(StateFolder(state_dir), call.params["docker_host"])
    differences = Differences()
    written: list[str] = []
    try:
        if not Path(call.params["archive"]).exists() and call.check:
            # In check mode the archive was not copied either: all of it is still to be done.
            differences.add("archive", None, call.params["archive"])
        else:
            files = read_archive(call.params["archive"])
            make_folders(plan_folders(StateFolder(state_dir), list_devices(files)), call.check, differences)
            files[ENGINE_FILE] = call.params["docker_host"].encode() + b"\n"
            written = unpack(state_dir, files, call.check, differences)
    except UnsafeArchiveError as error:
        raise FailedError(f"state folder {state_dir}: {error}") from error
    return build_answer("state folder", call.run, differences, written=written)


MODULE = Module(ARGUMENTS, work, "state folder {state_dir}", expected=(ValueError, tarfile.TarError, OSError))


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
