#!/usr/bin/python
"""Put the Docker SDK for Python on a lab host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fedsim_docker_sdk
short_description: Put the Docker SDK for Python on a lab host
description:
  - Unpacks the SDK, and what it needs, into the cache of the user as whom the module runs. The other modules of this
    collection use it there if their Python has none. Nothing is installed, and no other program finds it.
  - The other modules' action plugins call it when a lab host turns out to have no SDK; a play need not.
author: fedsim-runner (@fedsim-runner)
extends_documentation_fragment:
  - fedsim.testbed.attributes
attributes:
  check_mode:
    support: full
    details: Nothing is unpacked.
  diff_mode:
    support: none
    details: The content is not shown.
options:
  archive:
    description: The packages as a compressed tar file in base64.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Bring the Docker SDK for Python
  fedsim.testbed.fedsim_docker_sdk:
    archive: "{{ lookup('ansible.builtin.file', 'docker-sdk.tar.xz.base64') }}"
"""

RETURN = r"""
folder:
  description: The folder that Python finds the packages in.
  returned: always
  type: str
  sample: /home/ops/.cache/fedsim/docker-sdk
"""

import base64
import hashlib
import io
import os
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._module import Call, Module, run_module
from ansible_collections.fedsim.testbed.plugins.module_utils._shipped_sdk import shipped_folder
from ansible_collections.fedsim.testbed.plugins.module_utils._state_dir import UnsafeArchiveError, list_safe_members

ARGUMENTS: dict[str, Any] = {"archive": {"type": "str", "required": True}}


def work(call: Call) -> dict[str, Any]:
    content = base64.b64decode(call.params["archive"])
    link = shipped_folder()
    folder = link.with_name(f"{link.name}-{hashlib.sha256(content).hexdigest()[:16]}")
    changed = not (link.exists() and link.resolve() == folder.resolve())
    if changed and not call.check:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if not folder.is_dir():
            unpack(content, folder)
        point(link, folder)
    return {"changed": changed, "folder": str(link)}


def unpack(content: bytes, folder: Path) -> None:
    """Unpack into a folder that is there only when all of it is."""
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".docker-sdk-"))
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for name, member in list_safe_members(archive):
                stream = archive.extractfile(member)
                if stream is not None:
                    (draft / name).parent.mkdir(parents=True, exist_ok=True)
                    (draft / name).write_bytes(stream.read())
        draft.chmod(0o755)
        draft.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another call was quicker
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def point(link: Path, folder: Path) -> None:
    """Let the link lead to the folder, at once for whoever imports at this moment."""
    draft = link.with_name(f".{folder.name}-{os.getpid()}")
    draft.symlink_to(folder.name)
    draft.replace(link)


MODULE = Module(
    ARGUMENTS,
    work,
    "the Docker SDK cannot be unpacked",
    expected=(OSError, ValueError, tarfile.TarError, UnsafeArchiveError),
)


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
