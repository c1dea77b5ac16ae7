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
left_out:
  description: Files that cannot be written here, for example because of their names, each with its reason.
  returned: always
  type: list
  elements: str
"""

import errno
import shutil
import tarfile
from pathlib import Path
from typing import IO, Any

from ansible_collections.fedsim.testbed.plugins.module_utils._artifact_archive import have_same_content
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.atomic import replacing
from ansible_collections.fedsim.testbed.plugins.module_utils._module import Call, FailedError, Module, run_module
from ansible_collections.fedsim.testbed.plugins.module_utils._state_dir import (
    UnsafeArchiveError,
    list_safe_members,
)

ARGUMENTS: dict[str, Any] = {
    "src": {"type": "path", "required": True},
    "dest": {"type": "path", "required": True},
}


#: Errors about one file's name or place; the other files are none the worse for it.
OF_ONE_FILE = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.EISDIR, errno.ENOTDIR, errno.EEXIST)


def unpack(src: str, dest: Path, check: bool) -> tuple[list[str], list[str]]:
    """Return the files written, and those that cannot be written here, each with its reason."""
    written, left_out = [], []
    root = dest.resolve()
    inside: dict[Path, bool] = {}  # folders that no link leads to another place; thousands of files are in one
    with tarfile.open(src) as archive:
        for name, member in list_safe_members(archive):
            target = dest / name
            if target.parent not in inside:
                inside[target.parent] = (target.parent.resolve() / "file").is_relative_to(root)
            if not inside[target.parent] or (target.is_symlink() and root not in target.resolve().parents):
                raise UnsafeArchiveError(f"{name} leads outside {dest} through a link")
            stream = archive.extractfile(member)
            try:
                if stream is not None and write_if_different(target, stream, check):
                    written.append(str(name))
            except OSError as error:
                if error.errno not in OF_ONE_FILE:
                    raise
                left_out.append(f"{name}: {error.strerror}")
    return written, left_out


def write_if_different(target: Path, stream: IO[bytes], check: bool) -> bool:
    """Write a file, however large, if its content differs; return whether it does."""
    try:
        with target.open("rb") as present:
            if have_same_content(present, stream):
                return False
    except FileNotFoundError:
        pass
    if not check:
        stream.seek(0)
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target, 0o644) as draft, draft.open("wb") as output:
            shutil.copyfileobj(stream, output)
    return True


def work(call: Call) -> dict[str, Any]:
    source, dest = call.params["src"], Path(call.params["dest"])
    if call.check and not Path(source).exists():
        # In check mode it was not fetched, either.
        return {"changed": True, "written": [], "left_out": []}
    try:
        written, left_out = unpack(source, dest, call.check)
    except UnsafeArchiveError as error:
        raise FailedError(f"{source} is not unpacked: {error}") from error
    return {"changed": bool(written), "written": written, "left_out": left_out}


MODULE = Module(ARGUMENTS, work, "{src} is not unpacked", expected=(tarfile.TarError, OSError))


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
