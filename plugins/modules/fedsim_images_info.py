#!/usr/bin/python
"""List the images of fedsim-runner on a lab host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fedsim_images_info
short_description: List the images of fedsim-runner on a lab host
description:
  - Lists the images that M(fedsim.testbed.fedsim_images) built or loaded, with their sizes, and the Engine's
    architecture.
author: fedsim-runner (@fedsim-runner)
extends_documentation_fragment:
  - fedsim.testbed.attributes
  - fedsim.testbed.docker
attributes:
  check_mode:
    support: full
    details: Nothing is ever changed.
  diff_mode:
    support: none
    details: Nothing is ever changed.
options:
  refs:
    description: The images to look at, together with their parents; all if not set.
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: Images that the lab host has
  fedsim.testbed.fedsim_images_info:
  register: found
"""

RETURN = r"""
arch:
  description: The Engine's architecture, as images name it.
  returned: always
  type: str
  sample: amd64
images:
  description:
    - For each reference the image's id, its size in bytes, the part that its parent does not have (C(own)), and its
      parent's reference.
  returned: always
  type: dict
  sample: {"fedsim/base:0123456789abcdef": {"id": "sha256:...", "size": 160000000, "own": 160000000, "parent": null}}
disk:
  description: Bytes that the images of O(refs), or all, take on the disk, shared layers counted once.
  returned: always
  type: int
  sample: 260000000
table:
  description: The same images as lines of text; 1 MB is 2**20 bytes.
  returned: always
  type: list
  elements: str
  sample: ["fedsim/base                                152.6 MB in all   152.6 MB without parent"]
"""

from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._contract.host_capacity import architecture
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.units import size
from ansible_collections.fedsim.testbed.plugins.module_utils._image_build import list_own_images
from ansible_collections.fedsim.testbed.plugins.module_utils._module import DOCKER, Call, Module, run_module

ARGUMENTS: dict[str, Any] = {"refs": {"type": "list", "elements": "str"}, **DOCKER}


def work(call: Call) -> dict[str, Any]:
    images = list_own_images(call.client)
    refs = call.params["refs"]
    shown = images if refs is None else _add_parents(refs, images)
    disk = sum(image["own"] for image in shown.values())
    lines = [_format_line(ref, shown[ref]) for ref in sorted(shown)]
    return {
        "changed": False,
        "arch": architecture(call.client.info()["Architecture"]),
        "images": shown,
        "disk": disk,
        "table": [*lines, f"{size(disk)} on the disk, shared layers once"],
    }


def _add_parents(refs: list[str], images: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for ref in refs:
        current: str | None = ref
        while current in images:
            found[current] = images[current]
            current = images[current]["parent"]
    return found


def _format_line(ref: str, image: dict[str, Any]) -> str:
    return f"{ref.rpartition(':')[0]:<40} {size(image['size']):>10} in all {size(image['own']):>10} without parent"


MODULE = Module(ARGUMENTS, work, engine=True)


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
