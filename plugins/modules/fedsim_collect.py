#!/usr/bin/python
"""Pack the artifacts of a run on a lab host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fedsim_collect
short_description: Pack the artifacts of a run on a lab host into one file
description:
  - Packs each device's out folder and console log, the agent's journal and samples, and the Engine's facts about the
    containers into one tar file. M(fedsim.testbed.fedsim_unpack) puts it into the run folder.
  - Packs what there is, also after a course that failed or a provisioning that stopped half-way. An Engine that
    restarts is waited for; if it stays away, console logs and the facts about containers are left out, with a warning.
  - Links and special files in an out folder are left out, as a device could point them anywhere. So are the temporary
    files of a participant, in the folder C(tmp) of its out folder, files below more than 20 folders, those whose names
    are not UTF-8 or cannot be printed, paths of more than 1024 bytes, further names of a file, files with large holes,
    more than 10,000 files of a device, and what exceeds its C(disk_mb).
  - If the disk of O(dest) is full, or another process works on the run (which may pack its own file or remove the run
    at the same time), the file is written to a new folder in /var/tmp, which the caller removes.
author: fedsim-runner (@fedsim-runner)
extends_documentation_fragment:
  - fedsim.testbed.attributes
  - fedsim.testbed.docker
  - fedsim.testbed.run
  - fedsim.testbed.run.control
  - fedsim.testbed.run.state_dir
  - fedsim.testbed.run.devices
attributes:
  check_mode:
    support: full
    details: The file is not written; the result says whether it would differ.
  diff_mode:
    support: none
    details: The content is not shown.
options:
  dest:
    description: The tar file to write.
    type: path
    required: true
  agent_prefix:
    description: Folder inside the tar file for files that belong to no device; empty for its root.
    type: str
    default: ""
  max_file_bytes:
    description: Larger files are left out and named in RV(left_out).
    type: int
    default: 268435456
"""

EXAMPLES = r"""
- name: Pack
  fedsim.testbed.fedsim_collect:
    run: quickstart
    state_dir: /var/lib/fedsim/quickstart
    dest: /var/lib/fedsim/quickstart/collected.tar
"""

RETURN = r"""
dest:
  description: The tar file; not O(dest) if the disk there is full or another process works on the run.
  returned: always
  type: str
devices:
  description: Devices with artifacts.
  returned: always
  type: list
  elements: str
left_out:
  description:
    - Files that were not packed, each with its reason; of each device at most 20, and the number of the others.
    - The same list is in the tar file, as C(left_out.json).
  returned: always
  type: list
  elements: str
  sample: ["collected/pi-1/link: a link"]
"""

import contextlib
import json
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._artifact_archive import (
    CONSOLE,
    ArtifactArchive,
    have_same_content,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._batch import for_each_device
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.atomic import FULL, replacing
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.device_file import (
    DISK_BYTES,
    DeviceFileError,
    read_device_file,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.names import (
    KIND_AGENT,
    KIND_DEVICE,
    LABEL_DEVICE,
    run_filter,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.paths import (
    COLLECTED,
    CONTAINERS,
    LEFT_OUT,
    StateFolder,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._device_file import matches
from ansible_collections.fedsim.testbed.plugins.module_utils._difference import Differences
from ansible_collections.fedsim.testbed.plugins.module_utils._docker import (
    EngineError,
    connect,
    list_containers,
    wait_for_engine,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._module import (
    CONTROL,
    DEVICES,
    DOCKER,
    RUN,
    STATE_DIR,
    Call,
    Module,
    run_module,
)

ARGUMENTS: dict[str, Any] = {
    "dest": {"type": "path", "required": True},
    "agent_prefix": {"type": "str", "default": ""},
    "max_file_bytes": {"type": "int", "default": 256 * 1024**2},
    **RUN,
    **CONTROL,
    **STATE_DIR,
    **DEVICES,
    **DOCKER,
}
FALLBACK_FOLDER = "/var/tmp"


def extract_container_facts(found: dict[str, Any]) -> dict[str, Any]:
    """The facts about a container that the report needs."""
    state = found["State"]
    return {
        "name": found["Name"].lstrip("/"),
        "image": found["Config"]["Image"],
        "image_id": found["Image"],
        "status": state["Status"],
        "exit_code": state["ExitCode"],
        "oom_killed": state["OOMKilled"],
        "error": state.get("Error", ""),
        "started_at": state["StartedAt"],
        "finished_at": state["FinishedAt"],
        "restarts": found.get("RestartCount", 0),
    }


class Containers:
    """Console logs and facts of the run's containers; none without an Engine (``client`` None)."""

    def __init__(self, client: Any, run: str) -> None:
        self._client = client
        self._ids = {
            entry["Labels"].get(LABEL_DEVICE) or kind: entry["Id"]
            for kind in (KIND_DEVICE, KIND_AGENT)
            for entry in ([] if client is None else list_containers(client, run_filter(run, kind)))
        }
        self.logs: dict[str, bytes] = {}
        self.facts: dict[str, dict[str, Any]] = {}
        self.failed = {name: result["msg"] for name, result in self._read_all().items() if result["failed"]}

    def _read_all(self) -> dict[str, dict[str, Any]]:
        return for_each_device(sorted(self._ids), self._read)

    def _read(self, name: str, differences: Differences) -> None:
        self.facts[name] = extract_container_facts(self._client.inspect_container(self._ids[name]))
        if self.facts[name]["status"] != "created":
            self.logs[name] = self._client.logs(self._ids[name], stdout=True, stderr=True)


def read_disk_limits(state: StateFolder) -> dict[str, int]:
    """Bytes of disk by device; empty if the device file cannot be read."""
    try:
        return {device.name: device.disk_bytes for device in read_device_file(state.device_file).devices}
    except DeviceFileError:
        return {}


def pack(params: Mapping[str, Any], containers: Containers, stream: Any) -> tuple[list[str], list[str]]:
    """Write the tar file; return the devices with artifacts, and the files left out."""
    state = StateFolder(Path(params["state_dir"]))
    folders = state.devices
    names = {path.name for path in folders.iterdir() if path.is_dir()} if folders.is_dir() else set()
    devices = sorted(
        name for name in names | (set(containers.facts) - {KIND_AGENT}) if matches(name, params["devices"])
    )
    prefix = params["agent_prefix"].strip("/")
    limits = read_disk_limits(state)
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        packer = ArtifactArchive(archive, params["max_file_bytes"])
        for device in devices:
            if state.outputs(device).is_dir():
                most = limits.get(device, DISK_BYTES)
                packer.add_folder(state.outputs(device), f"{COLLECTED}/{device}", most)
            if device in containers.logs:
                packer.add(f"{COLLECTED}/{device}/{CONSOLE}", containers.logs[device])
        for path in (state.device_file, state.journal, state.metrics, state.host_load, state.link_counters):
            packer.add_path(path, f"{prefix}/{path.name}".lstrip("/"))
        if KIND_AGENT in containers.logs:
            packer.add(f"{prefix}/agent.log".lstrip("/"), containers.logs[KIND_AGENT])
        text = json.dumps(containers.facts, indent=1, sort_keys=True) + "\n"
        packer.add(f"{prefix}/{CONTAINERS}".lstrip("/"), text.encode())
        packer.left_out += [f"{name}: {reason}" for name, reason in sorted(containers.failed.items())]
        text = json.dumps(packer.left_out, indent=1) + "\n"
        packer.add(f"{prefix}/{LEFT_OUT}".lstrip("/"), text.encode())
    return devices, packer.left_out


def has_same_content(one: Path, other: Path) -> bool:
    if not other.exists() or one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as left, other.open("rb") as right:
        return have_same_content(left, right)


def write(
    params: Mapping[str, Any], containers: Containers, dest: Path, target: Path, keep: bool
) -> tuple[Path, bool, tuple[list[str], list[str]]]:
    """Pack next to ``target``, and replace it if ``keep`` and the new file differs from ``dest``.

    Returns: ``target``, whether the new file differs, and what :func:`pack` returned.
    """
    with replacing(target) as draft:
        draft.touch(0o600)  # devices' files are for root alone, also here
        with draft.open("wb") as stream:
            found = pack(params, containers, stream)
        changed = not has_same_content(draft, dest)
        if not (changed and keep):
            draft.unlink()
    return target, changed, found


def write_where_there_is_space(
    params: Mapping[str, Any], containers: Containers, dest: Path
) -> tuple[Path, bool, tuple[list[str], list[str]]]:
    """Like :func:`write`, next to ``dest``, or on another disk if that one is full."""
    try:
        dest.parent.mkdir(parents=True, exist_ok=True)
        return write(params, containers, dest, dest, True)
    except OSError as error:
        if error.errno not in FULL:
            raise
    return write_elsewhere(params, containers, dest)


def write_elsewhere(
    params: Mapping[str, Any], containers: Containers, dest: Path
) -> tuple[Path, bool, tuple[list[str], list[str]]]:
    """Like :func:`write`, into a new folder outside the state folder."""
    folder = Path(tempfile.mkdtemp(prefix=f"fedsim-{params['run']}-", dir=FALLBACK_FOLDER))
    try:
        return write(params, containers, folder / dest.name, folder / dest.name, True)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def work(call: Call) -> dict[str, Any]:
    is_known = Path(call.params["state_dir"]).is_dir()
    with contextlib.ExitStack() as stack:
        try:
            client = (wait_for_engine if is_known else connect)(call.params["docker_host"])
            stack.callback(client.close)
        except EngineError as error:
            if not is_known:
                raise
            # An Engine that has gone must not take the journal and the devices' files with it.
            call.warn(f"consoles and {CONTAINERS} are left out: {error}")
            client = None
        return collect(call, Containers(client, call.run))


def collect(call: Call, containers: Containers) -> dict[str, Any]:
    dest = Path(call.params["dest"])
    if call.check:
        # In check mode nothing may be created next to the target.
        _, changed, found = write(call.params, containers, dest, Path(call.tmpdir) / dest.name, False)
    elif call.is_beside_another(call.params["state_dir"]):
        dest, changed, found = write_elsewhere(call.params, containers, dest)
    else:
        dest, changed, found = write_where_there_is_space(call.params, containers, dest)
    devices, left_out = found
    return {"changed": changed, "dest": str(dest), "devices": devices, "left_out": left_out}


MODULE = Module(ARGUMENTS, work, "artifacts of run {run}")


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
