#!/usr/bin/python
"""Unpack artifacts into the run folder."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fedsim_unpack
short_description: Unpack the artifacts of a run into its run folder
description:
  - Runs on the control node as the user who called Ansible, who then owns the files. A file is written only if its
    content differs. Only regular files are written, and nothing outside the folder.
author: fedsim-runner (@fedsim-runner)
extends_documentation_fragment:
  - fedsim.testbed.attributes
attributes:
  check_mode:
    support: full
    details: Nothing is written; the result says what would be written.
  diff_mode:
    support: none
    details: The content is not shown.
options:
  src:
    description: Tar file that M(fedsim.testbed.fedsim_collect) made.
    type: path
    required: true
  dest:
    description: The run folder.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Unpack
  fedsim.testbed.fedsim_unpack:
    src: runs/quickstart/.collected-local.tar
    dest: runs/quickstart
"""

RETURN = r"""
written:
  description: Files written, relative to the run folder.
  returned: always
  type: list
  elements: str
"""

import tarfile
from pathlib import Path
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._module import Call, FailedError, Module, run_module
from ansible_collections.fedsim.testbed.plugins.module_utils._state_dir import (
    UnsafeArchiveError,
    list_safe_members,
    write_if_different,
)

ARGUMENTS: dict[str, Any] = {
    "src": {"type": "path", "required": True},
    "dest": {"type": "path", "required": True},
}


def unpack(src: str, dest: Path, check: bool) -> list[str]:
    written = []
    with tarfile.open(src) as archive:
        for name, member in list_safe_members(archive):
            target = dest / name
            if dest.resolve() not in target.resolve().parents:
                raise UnsafeArchiveError(f"{name} leads outside {dest} through a link")
            stream = archive.extractfile(member)
            if stream is not None and write_if_different(target, stream.read(), 0o644, check):
                written.append(str(name))
    return written


def work(call: Call) -> dict[str, Any]:
    source, dest = call.params["src"], Path(call.params["dest"])
    if call.check and not Path(source).exists():
        # In check mode it was not fetched, either.
        return {"changed": True, "written": []}
    try:
        written = unpack(source, dest, call.check)
    except UnsafeArchiveError as error:
        raise FailedError(f"{source} is not unpacked: {error}") from error
    return {"changed": bool(written), "written": written}


MODULE = Module(ARGUMENTS, work, "{src} is not unpacked", expected=(tarfile.TarError, OSError))


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
