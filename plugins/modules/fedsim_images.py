#!/usr/bin/python
"""Build images on a lab host, layer after layer."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fedsim_images
short_description: Build the images of the devices and the agent on a lab host
description:
  - Builds the layers that the Engine lacks, in the order given, from build contexts of
    M(fedsim.testbed.fedsim_build_context).
  - A layer whose reference exists is left alone, as its tag is a hash of everything that the image is built from.
  - Builds have no network, except for a base from a registry, which fetches Debian packages.
  - A build that fails or is interrupted leaves no container and no unnamed image.
author: fedsim-runner (@fedsim-runner)
extends_documentation_fragment:
  - fedsim.testbed.attributes
  - fedsim.testbed.docker
attributes:
  check_mode:
    support: full
    details: Nothing is built; the result says what would be built.
  diff_mode:
    support: full
    details: The references, before and after.
options:
  layers:
    description: Layers as M(fedsim.testbed.fedsim_build_context) returns them, parents first.
    type: list
    elements: dict
    required: true
  folder:
    description:
      - Folder that the build contexts were copied to; if not set, they are where the layers say. A layer that brings
        its build context along (C(content)) needs none.
    type: path
  base_image:
    description:
      - A Debian image that the Engine has, to build the base of its own architecture on. Without it, and for other
        architectures, the base layer names a bootstrap.
    type: str
"""

EXAMPLES = r"""
- name: Build the layers that are missing
  fedsim.testbed.fedsim_images:
    layers: "{{ contexts.layers }}"
"""

RETURN = r"""
built:
  description: References of the images that were built (in check mode, that would be), with the seconds each took.
  returned: always
  type: dict
  sample: {"fedsim/base:0123456789abcdef": 4.1}
images:
  description: Id and sizes in bytes of the images of all layers; C(own) is the part that the parent does not have.
  returned: when not in check mode
  type: dict
  sample: {"fedsim/base:0123456789abcdef": {"id": "sha256:...", "size": 160000000, "own": 160000000, "parent": null}}
"""

import base64
import io
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from ansible_collections.fedsim.testbed.plugins.module_utils._contract.host_capacity import architecture
from ansible_collections.fedsim.testbed.plugins.module_utils._docker import forget_credentials
from ansible_collections.fedsim.testbed.plugins.module_utils._image_build import (
    BuildFailedError,
    build,
    list_own_images,
    lock_builder,
    sweep,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._module import DOCKER, Call, Module, run_module
from ansible_collections.fedsim.testbed.plugins.module_utils._rootfs_image import load_rootfs

ARGUMENTS: dict[str, Any] = {
    "layers": {"type": "list", "elements": "dict", "required": True},
    "folder": {"type": "path"},
    "base_image": {"type": "str"},
    **DOCKER,
}
#: Seconds for which the Engine may say nothing: a step of a build may compile something.
SILENT_S = 3600


class Builder:
    """The layers of one call on one Engine."""

    def __init__(self, client: Any, params: Mapping[str, Any]) -> None:
        self.client = client
        self.layers: list[dict[str, Any]] = params["layers"]
        self.folder = Path(params["folder"]) if params["folder"] else None
        self.base_image: str | None = params["base_image"]
        engine = client.info()["Architecture"]
        self.arch = architecture(engine)

    def list_missing(self) -> list[dict[str, Any]]:
        present = list_own_images(self.client)
        return [layer for layer in self.layers if layer["ref"] not in present]

    def build_missing(self) -> dict[str, float]:
        """Build what is missing now. Returns the seconds each reference took."""
        built: dict[str, float] = {}
        with lock_builder():
            missing = self.list_missing()
            if missing:
                sweep(self.client)
            for layer in missing:
                started = time.monotonic()
                self._build(layer)
                built[layer["ref"]] = round(time.monotonic() - started, 1)
        return built

    def _build(self, layer: dict[str, Any]) -> None:
        platform = None if layer["arch"] == self.arch else f"linux/{layer['arch']}"
        with self._open_context(layer) as context:
            if layer["parent"] is not None:
                build(self.client, layer, context, layer["parent"], "none", platform)
            elif self.base_image is not None and platform is None:
                build(self.client, layer, context, self.base_image, "default", platform)
            elif layer.get("rootfs"):
                try:
                    rootfs = load_rootfs(self.client, self._find_archive(layer["rootfs"]), layer["arch"])
                    build(self.client, layer, context, rootfs, "none", platform)
                except BaseException:
                    sweep(self.client)  # the bootstrap has no name: nothing would find it again
                    raise
            else:
                raise BuildFailedError(f"image {layer['name']}: neither a base image nor a Debian bootstrap was given")

    def _open_context(self, layer: dict[str, Any]) -> IO[bytes]:
        if layer.get("content"):
            return io.BytesIO(base64.b64decode(layer["content"]))
        return self._find_archive(layer["context"]).open("rb")

    def _find_archive(self, path: str) -> Path:
        archive = self.folder / Path(path).name if self.folder else Path(path)
        if not archive.is_file():
            raise BuildFailedError(f"the build context {archive} is not on this lab host: run the images role again")
        return archive


def work(call: Call) -> dict[str, Any]:
    call.client.timeout = SILENT_S
    builder = Builder(call.client, call.params)
    if call.check:
        missing = [layer["ref"] for layer in builder.list_missing()]
        return {"changed": bool(missing), "built": dict.fromkeys(missing, 0.0), "diff": _build_diff(builder, missing)}
    forget_credentials(call.client, call.tmpdir)
    built = builder.build_missing()
    present = list_own_images(call.client)
    refs = [layer["ref"] for layer in builder.layers]
    return {
        "changed": bool(built),
        "built": built,
        "images": {ref: present[ref] for ref in refs if ref in present},
        "diff": _build_diff(builder, list(built)),
    }


def _build_diff(builder: Builder, built: list[str]) -> dict[str, str]:
    after = [layer["ref"] for layer in builder.layers]
    before = [ref for ref in after if ref not in built]
    return {"before": "".join(f"{ref}\n" for ref in before), "after": "".join(f"{ref}\n" for ref in after)}


MODULE = Module(ARGUMENTS, work, "the images were not built", engine=True)


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
