#!/usr/bin/python
"""Which image layers a lab host has, before images are sent to it or from it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fedsim_image_layers
short_description: List the image layers of a lab host, and how to start a program there
description:
  - Tells M(fedsim.testbed.fedsim_image_shipment) what a lab host has, so that it is not sent again.
  - Of an Engine that keeps its images in containerd no layers are listed; it is asked for its blobs before a shipment.
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
    description: References of images that the lab host is about to send.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Look at the layers that the lab host has
  fedsim.testbed.fedsim_image_layers:
  register: layers
"""

RETURN = r"""
chains:
  description: Layers of the newest images, by the id of the chain of layers that they end; each with its own id.
  returned: always
  type: dict
  sample: {"sha256:0123...": "sha256:4567..."}
sent:
  description: The same for the layers of the images in O(refs).
  returned: always
  type: dict
  sample: {"sha256:0123...": "sha256:4567..."}
images:
  description: Bytes of each image in O(refs), beyond its parent's.
  returned: always
  type: dict
  sample: {"fedsim/base:0123456789abcdef": 160000000}
has_containerd_store:
  description: Whether the Engine keeps its images in containerd.
  returned: always
  type: bool
docker_host:
  description: Address of the Engine.
  returned: always
  type: str
  sample: unix:///var/run/docker.sock
python:
  description: The Python that runs modules on the lab host.
  returned: always
  type: str
  sample: /usr/bin/python3
command:
  description: The command on the control node that starts this Python over Ansible's connection.
  returned: when the connection can carry a program's input and output
  type: list
  elements: str
  sample: [ssh, lab2, "/usr/bin/python3 -c ..."]
"""

import hashlib
import sys
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._docker import NotFound
from ansible_collections.fedsim.testbed.plugins.module_utils._image_build import list_own_images
from ansible_collections.fedsim.testbed.plugins.module_utils._module import (
    DOCKER,
    Call,
    FailedError,
    Module,
    run_module,
)

ARGUMENTS: dict[str, Any] = {"refs": {"type": "list", "elements": "str", "default": []}, **DOCKER}
#: So many of the newest images are looked at: older ones share few layers with new ones.
LOOKED_AT = 64
CONTAINERD_STORE = "io.containerd.snapshotter.v1"


def work(call: Call) -> dict[str, Any]:
    refs, own = call.params["refs"], list_own_images(call.client)
    absent = [ref for ref in refs if ref not in own]
    if absent:
        raise FailedError(f"not on this lab host: {', '.join(absent)}: run the images role again")
    newest = list(own.values())[:LOOKED_AT]  # in the Engine's order
    has_containerd_store = _has_containerd_store(call.client)
    return {
        "changed": False,
        "chains": {} if has_containerd_store else _list_chains(call.client, newest),
        "sent": _list_chains(call.client, [own[ref] for ref in refs]),
        "images": {ref: own[ref]["own"] for ref in refs},
        "has_containerd_store": has_containerd_store,
        "docker_host": call.params["docker_host"],
        "python": sys.executable,
    }


def _has_containerd_store(client: Any) -> bool:
    return any(CONTAINERD_STORE in entry for entry in client.info().get("DriverStatus") or ())


def _list_chains(client: Any, images: list[dict[str, Any]]) -> dict[str, str]:
    """Return the images' layers by chain id (OCI image specification, "Layer ChainID")."""
    chains: dict[str, str] = {}
    for identifier in {image["id"] for image in images}:
        try:
            layers = client.inspect_image(identifier)["RootFS"].get("Layers") or ()
        except NotFound:
            continue  # removed since it was listed
        chain = ""
        for layer in layers:
            chain = f"sha256:{hashlib.sha256(f'{chain} {layer}'.encode()).hexdigest()}" if chain else layer
            chains[chain] = layer
    return chains


MODULE = Module(ARGUMENTS, work, engine=True)


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
