#!/usr/bin/python
"""The run's state folder on a lab host."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.names import check_run
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.paths import StateFolder
from ansible_collections.fedsim.testbed.plugins.module_utils._difference import Differences, render_diff
from ansible_collections.fedsim.testbed.plugins.module_utils._state_dir import (
    UnsafeArchiveError,
    layout,
    make_folders,
    safe_members,
    write_if_different,
)

DOCUMENTATION = r"""
module: fedsim_state
short_description: The state folder of a run on a lab host
description:
  - Makes the folders that containers and agent mount, with the owners they need, and unpacks the participants' inputs
    and the device file into them. A file is written only if its content differs.
  - Input files that the archive does not have are removed.
author: fedsim-runner (@fedsim-runner)
attributes:
  check_mode:
    support: full
    description: Nothing is changed, the answer says what would be.
  diff_mode:
    support: full
    description: Folders and files that differ; of files only their size.
options:
  run:
    description: Run id.
    type: str
    required: true
  state_dir:
    description: The folder.
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
  description: Files written or removed, relative to the folder.
  returned: always
  type: list
  elements: str
"""

ARGUMENTS: dict[str, Any] = {
    "run": {"type": "str", "required": True},
    "state_dir": {"type": "path", "required": True},
    "archive": {"type": "path", "required": True},
}


def read_archive(path: str) -> dict[str, bytes]:
    """Content of each file of the archive by its relative path."""
    found = {}
    with tarfile.open(path) as archive:
        for name, member in safe_members(archive):
            stream = archive.extractfile(member)
            if stream is not None:
                found[str(name)] = stream.read()
    return found


def devices_of(files: dict[str, bytes]) -> list[str]:
    return sorted({name.split("/")[1] for name in files if name.startswith("devices/") and name.count("/") == 3})


def unpack(state_dir: Path, files: dict[str, bytes], check: bool, differences: Differences) -> list[str]:
    written = []
    for name, content in sorted(files.items()):
        path = state_dir / name
        before = path.stat().st_size if path.exists() else None
        if write_if_different(path, content, 0o644, check):
            differences.add(name, before, len(content))
            written.append(name)
    for device in devices_of(files):
        folder = StateFolder(state_dir).inputs(device)
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            name = str(path.relative_to(state_dir))
            if name not in files:
                differences.add(name, path.stat().st_size, None)
                written.append(name)
                if not check:
                    path.unlink()
    return written


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    state_dir = Path(module.params["state_dir"])
    differences = Differences()
    written: list[str] = []
    try:
        run = check_run(module.params["run"])
        if not Path(module.params["archive"]).exists() and module.check_mode:
            # In check mode the archive was not copied either: all of it is still to be done.
            differences.add("archive", None, module.params["archive"])
        else:
            files = read_archive(module.params["archive"])
            make_folders(layout(StateFolder(state_dir), devices_of(files)), module.check_mode, differences)
            written = unpack(state_dir, files, module.check_mode, differences)
    except (ValueError, UnsafeArchiveError, tarfile.TarError, OSError) as error:
        module.fail_json(msg=f"state folder {state_dir}: {error}")
    answer: dict[str, Any] = {"changed": bool(differences), "written": written}
    if module._diff:
        answer["diff"] = render_diff({run: differences.items}, "state folder")
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
