#!/usr/bin/python
"""Measure how much longer emulated devices compute."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fedsim_slowdown
short_description: Measure how much longer emulated devices compute
description:
  - Runs a loop of Python and a few training steps in a container of an emulated image and in one of the lab host's own
    image of the same engine, one after the other, and divides their CPU times.
  - What was measured is kept on the lab host, in C(slowdowns.json) of O(state_root), where plans find it. It is
    measured again if the processor or qemu-user is another one.
  - The run's state folder gets an event for each, which the agent puts into the journal.
author: fedsim-runner (@fedsim-runner)
extends_documentation_fragment:
  - fedsim.testbed.attributes
  - fedsim.testbed.docker
  - fedsim.testbed.run
  - fedsim.testbed.run.state_dir
attributes:
  check_mode:
    support: full
    details: Nothing is measured.
  diff_mode:
    support: none
    details: A measurement has no state before.
options:
  emulated:
    description: The lab host's part of what M(fedsim.testbed.fedsim_build_context) returns as RV(ignore:emulated).
    type: list
    elements: dict
    required: true
  images:
    description: References of images by their logical names.
    type: dict
    required: true
  lab_host:
    description: Name of the lab host.
    type: str
    required: true
  state_root:
    description: Folder that holds the state folders of runs.
    type: path
    default: /var/lib/fedsim
"""

EXAMPLES = r"""
- name: How much slower an arm64 device is here
  fedsim.testbed.fedsim_slowdown:
    run: quickstart
    state_dir: /var/lib/fedsim/quickstart
    lab_host: lab1
    emulated:
      - {arch: arm64, engine: light, devices: [pi-1], emulated: raspberry-pi-light, native: engine-light}
    images: "{{ fedsim_image_refs }}"
"""

RETURN = r"""
slowdowns:
  description: How many times longer Python code and a training step take, by architecture and engine.
  returned: when not in check mode
  type: dict
  sample: {"arm64": {"light": {"python": 12.3, "step": 140.5}}}
fedsim_news:
  description: An event for each of them.
  returned: always
  type: list
  elements: dict
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._contract.atomic import replace
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.emulation import (
    Slowdown,
    describe_circumstances,
    dump_slowdowns,
    read_slowdowns,
    write_slowdowns,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.events import DevicesEmulated
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.host_capacity import architecture
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.paths import STATE_ROOT, StateFolder
from ansible_collections.fedsim.testbed.plugins.module_utils._module import (
    DOCKER,
    RUN,
    STATE_DIR,
    Call,
    Module,
    run_module,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._reference_trial import time_reference

ARGUMENTS: dict[str, Any] = {
    "emulated": {"type": "list", "elements": "dict", "required": True},
    "images": {"type": "dict", "required": True},
    "lab_host": {"type": "str", "required": True},
    "state_root": {"type": "path", "default": str(STATE_ROOT)},
    **RUN,
    **STATE_DIR,
    **DOCKER,
}


def work(call: Call) -> dict[str, Any]:
    if call.check:
        return {"changed": False, "fedsim_news": []}
    params = call.params
    state_root, circumstances = Path(params["state_root"]), describe_circumstances()
    known = {arch: dict(engines) for arch, engines in read_slowdowns(state_root, circumstances).items()}
    changed = False
    for entry in params["emulated"]:
        arch, engine = entry["arch"], entry["engine"]
        if engine not in known.get(arch, {}):
            known.setdefault(arch, {})[engine] = measure(call, entry)
            write_slowdowns(state_root, known, circumstances)
            changed = True
    host_arch = architecture(str(call.client.info()["Architecture"]))
    news = [
        DevicesEmulated(
            devices=tuple(entry["devices"]),
            arch=entry["arch"],
            host_arch=host_arch,
            engine=entry["engine"],
            **asdict(known[entry["arch"]][entry["engine"]]),
            lab_host=params["lab_host"],
        ).as_dict()
        for entry in params["emulated"]
    ]
    lines = "".join(json.dumps(event) + "\n" for event in news)
    replace(StateFolder(Path(params["state_dir"])).emulated, lines)
    return {"changed": changed, "slowdowns": dump_slowdowns(known), "fedsim_news": news if changed else []}


def measure(call: Call, entry: Mapping[str, Any]) -> Slowdown:
    """Return how many times longer the emulated image takes than the native one."""
    images = call.params["images"]
    native, emulated = (time_reference(call.client, images[entry[kind]], call.run) for kind in ("native", "emulated"))
    return Slowdown(*(round(emulated[part] / native[part], 2) for part in ("python", "step")))


MODULE = Module(ARGUMENTS, work, "the slowdown was not measured", engine=True)


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
