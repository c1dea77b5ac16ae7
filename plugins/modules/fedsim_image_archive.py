#!/usr/bin/python
"""Save images to a file and load them, to ship them from one lab host to others."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fedsim_image_archive
short_description: Save images to a file, or load them from one
description:
  - Writes images of one lab host into a file, shared layers only once, or loads them from that file on another.
author: fedsim-runner (@fedsim-runner)
extends_documentation_fragment:
  - fedsim.testbed.attributes
  - fedsim.testbed.docker
attributes:
  check_mode:
    support: full
    details: Nothing is written or loaded; the result says what would change.
  diff_mode:
    support: none
    details: The file is binary.
options:
  state:
    description: Whether the file is written (V(saved)) or read (V(loaded)).
    type: str
    choices: [saved, loaded]
    required: true
  path:
    description: The file.
    type: path
    required: true
  refs:
    description: References of the images.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Load the images that another lab host built
  fedsim.testbed.fedsim_image_archive:
    state: loaded
    path: /var/tmp/fedsim-images.tar
    refs: ["fedsim/base:0123456789abcdef"]
"""

RETURN = r"""
ids:
  description: Ids of the images on this lab host afterwards.
  returned: when not in check mode
  type: dict
  sample: {"fedsim/base:0123456789abcdef": "sha256:..."}
"""

import contextlib
from pathlib import Path
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._contract.atomic import replacing
from ansible_collections.fedsim.testbed.plugins.module_utils._image_build import list_own_images
from ansible_collections.fedsim.testbed.plugins.module_utils._module import (
    DOCKER,
    Call,
    FailedError,
    Module,
    run_module,
)

ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["saved", "loaded"], "required": True},
    "path": {"type": "path", "required": True},
    "refs": {"type": "list", "elements": "str", "required": True},
    **DOCKER,
}


def work(call: Call) -> dict[str, Any]:
    client, state = call.client, call.params["state"]
    client.timeout = None  # hundreds of megabytes, at the disk's speed
    refs, path = call.params["refs"], Path(call.params["path"])
    present = list_own_images(client)
    absent = [ref for ref in refs if ref not in present]
    if state == "saved":
        if absent:
            raise FailedError(f"not on this lab host: {', '.join(absent)}: run the images role again")
        changed = bool(refs)
        if changed and not call.check:
            _save(client, refs, path)
    else:
        changed = bool(absent)
        if changed and not call.check:
            with path.open("rb") as archive:
                for _message in client.load_image(archive):
                    pass
            present = list_own_images(client)
            absent = [ref for ref in refs if ref not in present]
            if absent:
                raise FailedError(f"{path} does not hold {', '.join(absent)}")
    return {"changed": changed, "ids": {ref: present[ref]["id"] for ref in refs if ref in present}}


def _save(client: Any, refs: list[str], path: Path) -> None:
    """Write the archive completely or not at all."""
    with (
        replacing(path) as draft,
        draft.open("wb") as archive,
        contextlib.closing(_save_stream(client, refs)) as stream,
    ):
        for chunk in stream.stream(1 << 20, decode_content=False):
            archive.write(chunk)


def _save_stream(client: Any, refs: list[str]) -> Any:
    # The SDK's get_image takes one name; the Engine's call takes several and then stores shared layers once.
    answer = client._get(client._url("/images/get"), params={"names": refs}, stream=True)
    client._raise_for_status(answer)
    return answer.raw


MODULE = Module(ARGUMENTS, work, "images were not {state}", engine=True)


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
