#!/usr/bin/python
"""Which images lab hosts need and, on the control node, what they are built from."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fedsim_build_context
short_description: Plan images and assemble their build contexts on the control node
description:
  - Runs on the control node, with the Python that fedsim-runner is installed in.
  - V(planned) reads the device files and returns, for every lab host, the reference of each image it needs, which of
    them it lacks, which it builds and which it receives from another one.
  - V(assembled) makes the build contexts of missing layers, and fails if what they are built from has changed since
    they were planned. Wheels, archives and the Debian bootstrap are kept in the user's cache, so they are fetched once.
  - Where a device uses FederatedScope, its source is the one that the device files name, else
    O(federatedscope_source), the environment variable C(FEDSIM_FEDERATEDSCOPE_SOURCE), the user's configuration file,
    or upstream at a pinned commit. A source that cannot be obtained fails the module with C(fedsim_exit_code) 3.
author: fedsim-runner (@fedsim-runner)
extends_documentation_fragment:
  - fedsim.testbed.attributes
attributes:
  check_mode:
    support: full
    details: V(planned) never changes anything. V(assembled) makes no build context and returns no layers.
  diff_mode:
    support: none
    details: Archives cannot be shown as text.
options:
  state:
    description: How far to go.
    type: str
    choices: [planned, assembled]
    default: planned
  hosts:
    description: Lab hosts, in the inventory's order.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The lab host's name in the inventory.
        type: str
        required: true
      arch:
        description: Architecture of its Engine.
        type: str
        required: true
      present:
        description: References of the images it has.
        type: list
        elements: str
        default: []
      device_file:
        description: Its device file on the control node; without one it needs no device images.
        type: path
      local:
        description: Whether it is the control node itself.
        type: bool
        default: false
  all:
    description: Plan the images of all device types for the engines in O(engines), not only those of the device files.
    type: bool
    default: false
  engines:
    description: Engines to plan for with O(all).
    type: list
    elements: str
    default: [light]
  federatedscope_source:
    description: Checkout, wheel, git URL or pip requirement, if the device files name none.
    type: str
  base:
    description: C(auto), C(bootstrap), or the reference of a Debian image.
    type: str
    default: auto
  dockerfiles:
    description: Folders with the user's own device types, searched first.
    type: list
    elements: path
    default: []
  refs:
    description: References of the layers whose build contexts are needed. Required for O(state=assembled).
    type: list
    elements: str
    default: []
  bootstrap:
    description: Architectures whose base layer needs a Debian bootstrap, because no registry has it or answered.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Images that the devices need
  fedsim.testbed.fedsim_build_context:
    hosts:
      - {name: lab1, arch: amd64, local: true, device_file: inventory/device_files/lab1.json}
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
hosts:
  description:
    - For each lab host C(refs) (logical name to reference, the agent among them), C(missing) (references it lacks),
      C(build) (references it has to build, for itself and others), C(receive) (those that another lab host sends it)
      and C(derive) (those to build after that, from parents that it received). Parents come first.
  returned: when planned
  type: dict
  sample:
    lab1:
      refs: {"agent": "fedsim/agent:0123456789abcdef"}
      missing: []
      build: []
      receive: []
      derive: []
shipments:
  description:
    - What is sent from one lab host to others; C(builder) sends C(refs), and C(to) names the receivers, each with the
      references that it lacks.
  returned: when planned
  type: list
  elements: dict
  sample:
    - builder: lab1
      refs: ["fedsim/agent:0123456789abcdef"]
      to: {"lab2": ["fedsim/agent:0123456789abcdef"]}
emulated:
  description:
    - For each lab host that emulates devices, one entry for each of their architectures and engines, with the names of
      their devices and, as logical names, an image C(emulated) and the C(native) one of the same engine.
  returned: when planned
  type: dict
  sample:
    lab1:
      - {arch: arm64, engine: light, devices: [pi-1], emulated: raspberry-pi-light, native: engine-light}
layers:
  description: The layers with the paths of their build contexts, for M(fedsim.testbed.fedsim_images).
  returned: when assembled
  type: list
  elements: dict
  sample: [{"ref": "fedsim/base:0123456789abcdef", "name": "base", "context": "base-0123456789abcdef.tar"}]
"""

from pathlib import Path
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._device_file import read_device_file
from ansible_collections.fedsim.testbed.plugins.module_utils._module import Call, FailedError, Module, run_module

HOST = {
    "name": {"type": "str", "required": True},
    "arch": {"type": "str", "required": True},
    "present": {"type": "list", "elements": "str", "default": []},
    "device_file": {"type": "path"},
    "local": {"type": "bool", "default": False},
}
ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["planned", "assembled"], "default": "planned"},
    "hosts": {"type": "list", "elements": "dict", "required": True, "options": HOST},
    "all": {"type": "bool", "default": False},
    "engines": {"type": "list", "elements": "str", "default": ["light"]},
    "federatedscope_source": {"type": "str"},
    "base": {"type": "str", "default": "auto"},
    "dockerfiles": {"type": "list", "elements": "path", "default": []},
    "refs": {"type": "list", "elements": "str", "default": []},
    "bootstrap": {"type": "list", "elements": "str", "default": []},
}


def work(call: Call) -> dict[str, Any]:
    try:
        from fedsim_runner.contract.errors import FedsimError
        from fedsim_runner.testbed.docker.images import LayerSources, host_images
        from fedsim_runner.testbed.docker.images.build_context import assemble, choose
        from fedsim_runner.user_folders import cache_dir
    except ImportError as error:
        raise FailedError(f"fedsim-runner is not installed in the Python that runs Ansible here: {error}") from error
    params = call.params
    try:
        contents = {host["name"]: _read_images_part(host) for host in params["hosts"]}
        own = {root for content in contents.values() for root in content["dockerfile_roots"]}
        found = _find_sources(params, list(contents.values()))
        folders = [Path(folder) for folder in sorted({*params["dockerfiles"], *own})]
        packages = dict.fromkeys(package for content in contents.values() for package in content["requirements"])
        sources = LayerSources.installed(folders, found, {"federatedscope": tuple(packages)})
        hosts = [
            host_images.HostImages(
                name=host["name"],
                arch=host["arch"],
                needed=_needed_images(host, contents[host["name"]]["devices"], params, sources),
                present=frozenset(host["present"]),
                local=host["local"],
            )
            for host in params["hosts"]
        ]
        plan = host_images.plan_hosts(hosts, sources, base=params["base"])
        if params["state"] == "planned":
            return {"changed": False, **plan.as_dict(), "emulated": _find_emulated(params, contents)}
        layers = choose(plan.layers, params["refs"])
        if call.check:
            return {"changed": bool(layers), "layers": []}
        for source in {id(layer.engine_source): layer.engine_source for layer in layers}.values():
            if source is not None:
                for content in contents.values():
                    for config in content["configs"]:
                        source.refuse(config)
        contexts = assemble(layers, cache_dir(), bootstrap=params["bootstrap"])
    except FedsimError as error:
        raise FailedError(str(error), fedsim_exit_code=error.exit) from error
    # Not "changed": the cache belongs to the control node; the lab hosts report what they build.
    return {"changed": False, "layers": [context.as_dict() for context in contexts]}


def _read_images_part(host: dict[str, Any]) -> dict[str, Any]:
    """Return the parts of a lab host's device file that images depend on; empty without a device file."""
    if not host["device_file"]:
        return {"devices": [], "dockerfile_roots": [], "source": None, "configs": [], "requirements": []}
    from fedsim_runner.spec.testbed_keys import without_place

    content = read_device_file(host["device_file"])
    own = [without_place(device["config"]) for device in content["devices"] if device["engine"] == "federatedscope"]
    different = [config for number, config in enumerate(own) if config and config not in own[:number]]
    return {
        "devices": content["devices"],
        "dockerfile_roots": content["dockerfile_roots"],
        "source": content["federatedscope"]["source"],
        "configs": [content["course"]["config"], *different],
        "requirements": content["federatedscope"].get("requirements", []),
    }


def _find_sources(params: dict[str, Any], contents: list[dict[str, Any]]) -> dict[str, Any]:
    """Return, by engine, the source of what its images install that is not in their folders."""
    from fedsim_runner.engines.protocol import engine

    if params["all"]:
        used = {name.removesuffix("-cuda") for name in params["engines"]}
    else:
        used = {str(device["engine"]) for content in contents for device in content["devices"]}
    named = sorted({content["source"] for content in contents if content["source"]})
    if len(named) > 1:
        raise ValueError(f"the device files name more than one source of FederatedScope: {', '.join(named)}")
    given = params["federatedscope_source"], "fedsim_federatedscope_source"
    if named and not params["all"]:
        given = named[0], "the device file"
    found = {name: engine(name).image_source(*given) for name in sorted(used)}
    return {name: source for name, source in found.items() if source is not None}


def _find_emulated(params: dict[str, Any], contents: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    from fedsim_runner.testbed.docker.images import host_images

    found = {
        host["name"]: []
        if params["all"]
        else host_images.emulated_images(contents[host["name"]]["devices"], host["arch"])
        for host in params["hosts"]
    }
    return {name: pairs for name, pairs in found.items() if pairs}


def _needed_images(
    host: dict[str, Any], devices: list[dict[str, Any]], params: dict[str, Any], sources: Any
) -> dict[str, str]:
    from fedsim_runner.testbed.docker.images import host_images

    if params["all"]:
        return host_images.images_of_everything(host["arch"], sources, params["engines"])
    return host_images.images_of_devices(devices, host["arch"])


MODULE = Module(ARGUMENTS, work, expected=(OSError, ValueError, LookupError))


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
