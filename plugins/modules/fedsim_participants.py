#!/usr/bin/python
"""Make the participants' inputs on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fedsim_participants
short_description: Make the inputs of a lab host's participants
description:
  - Runs on the control node with the Python that runs Ansible. Splits the data and writes C(config.yaml),
    C(launcher.json) and C(shard.npz) of each device of a lab host, and packs them with the device file into one tar
    file for M(fedsim.testbed.fedsim_state). C(labels.json) next to them is the run's label table.
  - Only the user who runs Ansible may read them, as the shards are the devices' data.
  - The same device file gives the same bytes. Shards that are already in O(target) and were made from the same data
    stay as they are, so the user's own data files are only needed the first time.
author: fedsim-runner (@fedsim-runner)
extends_documentation_fragment:
  - fedsim.testbed.attributes
requirements: ["fedsim-runner"]
attributes:
  check_mode:
    support: full
    details: The inputs are made in a temporary folder and compared.
  diff_mode:
    support: full
    details: Names of the files that differ, and their sizes.
options:
  run:
    description: Run id, written into the packed device file.
    type: str
    required: true
  device_file:
    description: Device file on the control node.
    type: path
    required: true
  target:
    description: Folder for the inputs, one folder per device.
    type: path
    required: true
  archive:
    description: The tar file to write.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Inputs of the devices
  fedsim.testbed.fedsim_participants:
    run: quickstart
    device_file: "{{ fedsim_device_file }}"
    target: runs/quickstart/participants/local
    archive: runs/quickstart/participants/local.tar
  delegate_to: localhost
"""

RETURN = r"""
archive:
  description: The tar file.
  returned: success
  type: str
devices:
  description: Devices that it has inputs for.
  returned: success
  type: list
  elements: str
"""

import io
import json
import shutil
import tarfile
import tempfile
import traceback
from pathlib import Path
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._contract.paths import DEVICE_FILE
from ansible_collections.fedsim.testbed.plugins.module_utils._device_file import DeviceFileError, read_device_file
from ansible_collections.fedsim.testbed.plugins.module_utils._difference import Differences
from ansible_collections.fedsim.testbed.plugins.module_utils._module import (
    RUN,
    Call,
    FailedError,
    Module,
    build_answer,
    run_module,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._state_dir import write_if_different

try:
    from fedsim_runner.engines.participant_files import render_participants

    IMPORT_ERROR = None
except ImportError:
    IMPORT_ERROR = traceback.format_exc()


ARGUMENTS: dict[str, Any] = {
    "device_file": {"type": "path", "required": True},
    "target": {"type": "path", "required": True},
    "archive": {"type": "path", "required": True},
    **RUN,
}


def pack(device_file: bytes, inputs: dict[str, bytes]) -> bytes:
    """Return the tar file; its bytes depend only on the content."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        files = {DEVICE_FILE: device_file, **{f"devices/{name}": data for name, data in inputs.items()}}
        for name in sorted(files):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(files[name]), 0o644
            archive.addfile(member, io.BytesIO(files[name]))
    return stream.getvalue()


def read_inputs(folder: Path, devices: list[str]) -> dict[str, bytes]:
    """Return the input files by ``<device>/in/<file>``."""
    found = {}
    for device in devices:
        for path in sorted((folder / device).iterdir()):
            found[f"{device}/in/{path.name}"] = path.read_bytes()
    return found


def copy_existing_inputs(source: Path, target: Path, devices: list[str]) -> None:
    """Copy the existing inputs of these devices and of the whole run."""
    for device in devices:
        if (source / device).is_dir():
            shutil.copytree(source / device, target / device)
    for path in source.glob("*.json"):
        shutil.copy2(path, target)


def work(call: Call) -> dict[str, Any]:
    device_file, target = Path(call.params["device_file"]), Path(call.params["target"])
    archive = Path(call.params["archive"])
    differences = Differences()
    try:
        content = read_device_file(str(device_file), call.run)
        devices = sorted(device["name"] for device in content["devices"])
        if call.check:
            with tempfile.TemporaryDirectory(dir=call.tmpdir) as scratch:
                copy_existing_inputs(target, Path(scratch), devices)
                render_participants(content, Path(scratch))
                inputs = read_inputs(Path(scratch), devices)
        else:
            target.mkdir(parents=True, exist_ok=True)
            render_participants(content, target)
            inputs = read_inputs(target, devices)
        packed = pack((json.dumps(content, indent=1) + "\n").encode(), inputs)
        before = archive.stat().st_size if archive.exists() else None
        if write_if_different(archive, packed, 0o600, call.check):
            differences.add(str(archive), before, len(packed))
    except DeviceFileError as error:
        raise FailedError(f"inputs of {device_file}: {error}") from error
    return build_answer("participants", "participants", differences, archive=str(archive), devices=devices)


MODULE = Module(ARGUMENTS, work, "inputs of {device_file}", import_error=IMPORT_ERROR, expected=(OSError, ValueError))


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
