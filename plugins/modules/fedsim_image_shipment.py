#!/usr/bin/python
"""Send images from one lab host to others; the work is done by the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fedsim_image_shipment
short_description: Send images from one lab host to others through the control node
description:
  - Reads images from the Engine of one lab host, once, and has the Engines of all receivers load them at the same time.
    Layers that every receiver has are left out. What takes longer to send than to compress is compressed.
  - Nothing is written to files on the way. A shipment that is interrupted leaves no part of an image.
  - Runs on the control node, and starts programs on lab hosts over the connections that
    M(fedsim.testbed.fedsim_image_layers) found, which are of the kinds C(ssh) (with keys) and C(local).
author: fedsim-runner (@fedsim-runner)
extends_documentation_fragment:
  - fedsim.testbed.attributes
attributes:
  check_mode:
    support: full
    details: Nothing is sent; the result says whether something would be.
  diff_mode:
    support: none
    details: Images cannot be shown as text.
options:
  shipments:
    description: What to send, as M(fedsim.testbed.fedsim_build_context) returns it.
    type: list
    elements: dict
    required: true
  hosts:
    description: For each lab host the result of M(fedsim.testbed.fedsim_image_layers).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Send images to the lab hosts that lack them
  fedsim.testbed.fedsim_image_shipment:
    shipments: "{{ images_plan.shipments }}"
    hosts: "{{ dict(ansible_play_hosts | zip(ansible_play_hosts | map('extract', hostvars, 'layers'))) }}"
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
errors:
  description: Why a lab host did not get its images, by its name; empty if all did.
  returned: always
  type: dict
  sample: {"lab2": "the Engine did not load the images: no space left on device"}
"""

from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._module import Call, FailedError, Module, run_module

ARGUMENTS: dict[str, Any] = {
    "shipments": {"type": "list", "elements": "dict", "required": True},
    "hosts": {"type": "dict", "required": True},
}


def work(call: Call) -> dict[str, Any]:
    shipments = call.params["shipments"]
    if shipments and not call.check:
        raise FailedError("only the action plugin fedsim_image_shipment can send images, and it is missing")
    return {"changed": bool(shipments), "errors": {}}


MODULE = Module(ARGUMENTS, work, "the images were not sent")


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
