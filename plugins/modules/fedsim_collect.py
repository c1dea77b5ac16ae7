#!/usr/bin/python
"""Pack the artifacts of a run on a lab host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fedsim_collect
short_description: Pack the artifacts of a run on a lab host into one file
description:
  - Packs each device's out folder and console log, the agent's journal and samples, and the Engine's facts about the
    containers into one tar file. M(fedsim.testbed.fedsim_unpack) puts it into the run folder.
  - Packs what there is, also after a course that failed or a provisioning that stopped half-way.
  - Links and special files in an out folder are left out, as a device could point them anywhere. So are the temporary
    files of a participant, in the folder C(tmp) of its out folder, and files below more than 20 folders.
  - If the disk of O(dest) is full, the file is written to a new folder in /var/tmp, which the caller removes.
author: fedsim-runner (@fedsim-runner)
extends_documentation_fragment:
  - fedsim.testbed.attributes
  - fedsim.testbed.docker
  - fedsim.testbed.run
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
  description: The tar file; not O(dest) if the disk there is full.
  returned: always
  type: str
devices:
  description: Devices with artifacts.
  returned: always
  type: list
  elements: str
left_out:
  description: Files that were not packed, each with its reason.
  returned: always
  type: list
  elements: str
  sample: ["collected/pi-1/link: a link"]
"""

import io
import json
import os
import shutil
import stat
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._batch import for_each_device
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.atomic import FULL, replacing
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.names import (
    KIND_AGENT,
    KIND_DEVICE,
    LABEL_DEVICE,
    run_filter,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.paths import COLLECTED, CONTAINERS, StateFolder
from ansible_collections.fedsim.testbed.plugins.module_utils._device_file import matches
from ansible_collections.fedsim.testbed.plugins.module_utils._difference import Differences
from ansible_collections.fedsim.testbed.plugins.module_utils._docker import list_containers
from ansible_collections.fedsim.testbed.plugins.module_utils._module import (
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
    **STATE_DIR,
    **DEVICES,
    **DOCKER,
}
SCRATCH = "tmp"
CONSOLE = "console.log"
MAX_DEPTH = 20
FALLBACK_FOLDER = "/var/tmp"


class Packer:
    """Writes a tar file whose bytes depend only on the content."""

    def __init__(self, archive: tarfile.TarFile, max_file_bytes: int) -> None:
        self._archive = archive
        self._max = max_file_bytes
        self.left_out: list[str] = []

    def add(self, name: str, content: bytes, mtime: int = 0) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mode, member.mtime = len(content), 0o644, mtime
        self._archive.addfile(member, io.BytesIO(content))

    def add_folder(self, folder: Path, prefix: str) -> None:
        """Add the regular files of ``folder``, which a device can write to: no link out of it is followed."""
        for where, folders, files, descriptor in os.fwalk(folder, follow_symlinks=False):
            folders.sort()
            inside = Path(where).relative_to(folder)
            if inside == Path():
                if SCRATCH in folders:
                    folders.remove(SCRATCH)
                # A folder, file or link of this name would collide with the console's log.
                for names in (folders, files):
                    if CONSOLE in names:
                        names.remove(CONSOLE)
                        self._leave_out(f"{prefix}/{CONSOLE}", "the console's log has this name")
            elif len(inside.parts) >= MAX_DEPTH and folders:
                # The walk is recursive, and the length of paths is limited.
                self._leave_out(f"{prefix}/{inside}", f"more than {MAX_DEPTH} folders deep")
                folders.clear()
            for name in sorted(files):
                self._add_file(descriptor, name, f"{prefix}/{inside / name}")

    def add_path(self, path: Path, name: str) -> None:
        if path.is_file():
            self.add(name, path.read_bytes(), int(path.stat().st_mtime))

    def _leave_out(self, member: str, reason: str) -> None:
        # A device can give its files any names, also ones that cannot be printed.
        name = "".join(character if character.isprintable() else "?" for character in member)
        self.left_out.append(f"{name}: {reason}")

    def _add_file(self, descriptor: int, name: str, member: str) -> None:
        try:
            # Never wait for a FIFO's writer, never follow a link.
            opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=descriptor)
        except OSError as error:
            self._leave_out(member, str(error.strerror))
            return
        with os.fdopen(opened, "rb") as stream:
            found = os.fstat(opened)
            if not stat.S_ISREG(found.st_mode):
                self._leave_out(member, "not a regular file")
            elif found.st_size > self._max:
                self._leave_out(member, f"{found.st_size} bytes are more than {self._max}")
            else:
                self.add(member, stream.read(self._max), int(found.st_mtime))


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
    """Console logs and facts of the run's containers."""

    def __init__(self, client: Any, run: str) -> None:
        self._client = client
        self._ids = {
            entry["Labels"].get(LABEL_DEVICE) or kind: entry["Id"]
            for kind in (KIND_DEVICE, KIND_AGENT)
            for entry in list_containers(client, run_filter(run, kind))
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


def pack(params: Mapping[str, Any], containers: Containers, stream: Any) -> tuple[list[str], list[str]]:
    """Write the tar file; return the devices with artifacts, and the files left out."""
    state = StateFolder(Path(params["state_dir"]))
    folders = state.devices
    names = {path.name for path in folders.iterdir() if path.is_dir()} if folders.is_dir() else set()
    devices = sorted(
        name for name in names | (set(containers.facts) - {KIND_AGENT}) if matches(name, params["devices"])
    )
    prefix = params["agent_prefix"].strip("/")
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        packer = Packer(archive, params["max_file_bytes"])
        for device in devices:
            if state.outputs(device).is_dir():
                packer.add_folder(state.outputs(device), f"{COLLECTED}/{device}")
            if device in containers.logs:
                packer.add(f"{COLLECTED}/{device}/{CONSOLE}", containers.logs[device])
        for path in (state.journal, state.metrics):
            packer.add_path(path, f"{prefix}/{path.name}".lstrip("/"))
        if KIND_AGENT in containers.logs:
            packer.add(f"{prefix}/agent.log".lstrip("/"), containers.logs[KIND_AGENT])
        text = json.dumps(containers.facts, indent=1, sort_keys=True) + "\n"
        packer.add(f"{prefix}/{CONTAINERS}".lstrip("/"), text.encode())
    packer.left_out += [f"{name}: {reason}" for name, reason in sorted(containers.failed.items())]
    return devices, packer.left_out


def has_same_content(one: Path, other: Path) -> bool:
    if not other.exists() or one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as left, other.open("rb") as right:
        while True:
            block = left.read(1 << 20)
            if block != right.read(1 << 20):
                return False
            if not block:
                return True


def write(
    params: Mapping[str, Any], containers: Containers, dest: Path, target: Path, keep: bool
) -> tuple[Path, bool, tuple[list[str], list[str]]]:
    """Pack next to ``target``, and replace it if ``keep`` and the new file differs from ``dest``.

    Returns: ``target``, whether the new file differs, and what :func:`pack` returned.
    """
    with replacing(target, 0o644) as draft:
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
    folder = Path(tempfile.mkdtemp(prefix=f"fedsim-{params['run']}-", dir=FALLBACK_FOLDER))
    try:
        folder.chmod(0o755)
        return write(params, containers, folder / dest.name, folder / dest.name, True)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def work(call: Call) -> dict[str, Any]:
    dest = Path(call.params["dest"])
    containers = Containers(call.client, call.run)
    if call.check:
        # In check mode nothing may be created next to the target.
        _, changed, found = write(call.params, containers, dest, Path(call.tmpdir) / dest.name, False)
    else:
        dest, changed, found = write_where_there_is_space(call.params, containers, dest)
    devices, left_out = found
    return {"changed": changed, "dest": str(dest), "devices": devices, "left_out": left_out}


MODULE = Module(ARGUMENTS, work, "artifacts of run {run}", engine=True)


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
