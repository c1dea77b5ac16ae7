#!/usr/bin/python
"""The run's Docker network on a lab host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fedsim_network
short_description: The isolated Docker network of a run
description:
  - Creates the run's network as the device file describes it, or removes it.
  - The lab host has no address on the bridge (neither IPv4 nor IPv6) and the network is C(internal), so devices reach
    each other and nothing else.
  - A network that differs is created again if no container uses it; otherwise the module fails, naming the difference.
author: fedsim-runner (@fedsim-runner)
extends_documentation_fragment:
  - fedsim.testbed.attributes
  - fedsim.testbed.docker
  - fedsim.testbed.run
  - fedsim.testbed.run.state_dir
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Each option that differs, before and after.
options:
  state:
    description: Whether the network exists.
    type: str
    choices: [present, absent]
    default: present
  device_file:
    description: Device file on the lab host. Required for O(state=present).
    type: path
"""

EXAMPLES = r"""
- name: The run's network
  fedsim.testbed.fedsim_network:
    run: quickstart
    state_dir: /var/lib/fedsim/quickstart
    device_file: /var/lib/fedsim/quickstart/device_file.json
"""

RETURN = r"""
network:
  description: Id, name, bridge and subnet of the network.
  returned: when it exists
  type: dict
  sample: {"id": "5c1e...", "name": "fedsim-quickstart", "bridge": "fsim-0a1b2c3d4e", "subnet": "198.18.0.0/24"}
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._actions import Action, Actions, actions, nothing
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.errors import Exit, FedsimError
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.names import (
    KIND_NETWORK,
    bridge_name,
    labels,
    run_filter,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._device_file import read_device_file
from ansible_collections.fedsim.testbed.plugins.module_utils._difference import Differences
from ansible_collections.fedsim.testbed.plugins.module_utils._docker import APIError, explain
from ansible_collections.fedsim.testbed.plugins.module_utils._module import (
    DOCKER,
    RUN,
    STATE_DIR,
    Call,
    Module,
    build_answer,
    run_module,
)

BRIDGE_NAME = "com.docker.network.bridge.name"
INHIBIT_IPV4 = "com.docker.network.bridge.inhibit_ipv4"
IPV6_SWITCH = "/proc/sys/net/ipv6/conf/%s/disable_ipv6"

ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "device_file": {"type": "path"},
    **RUN,
    **STATE_DIR,
    **DOCKER,
}


class NetworkError(FedsimError):
    """The network cannot be made or removed; the text says why and what to do."""

    exit = Exit.PROVISIONING


@dataclass(frozen=True)
class Facts:
    """What the Engine and the kernel have.

    ``ours`` are networks with the run's labels and list their users; ``namesakes`` only have the same name. ``ipv6`` is
    true if this process sees the bridge and its IPv6 is on.
    """

    ours: Sequence[dict[str, Any]] = field(default_factory=list)
    namesakes: Sequence[dict[str, Any]] = field(default_factory=list)
    ipv6: bool = False


def plan_network(have: Facts, want: dict[str, Any] | None) -> Actions:
    """Plan the way from what exists to the requested network, or to none.

    Raises:
        NetworkError: another network has the name, or containers use one that has to be removed.
    """
    if want is None:
        return _plan_removal(have)
    if have.namesakes:
        raise NetworkError(
            "a network named {} exists that is not this run's (it lacks the run's labels): remove it with "
            "`docker network rm {}`".format(want["name"], have.namesakes[0]["Id"][:12])
        )
    differences = Differences()
    bridge = want["options"][BRIDGE_NAME]
    # The kernel gives every bridge a link-local IPv6 address; removing it is part of creating one.
    creation = (Action("create", want["name"], want), Action("silence_ipv6", bridge))
    if not have.ours:
        differences.add("state", "absent", "present")
        return actions(creation, differences)
    found = have.ours[0]
    compare(found, want, differences)
    if differences:
        if found["Containers"]:
            items = ", ".join(entry["item"] for entry in differences.items)
            raise NetworkError(
                f"network {found['Name']} differs ({items}) and {len(found['Containers'])} containers use it: "
                "take the run down first (`fedsim-provision down`)"
            )
        return actions((Action("remove", found["Id"]), *creation), differences)
    if have.ipv6:
        differences.add("bridge disable_ipv6", "0", "1")
        return actions((Action("silence_ipv6", bridge),), differences)
    return nothing(f"{want['name']} is as requested")


def _plan_removal(have: Facts) -> Actions:
    differences = Differences()
    for network in have.ours:
        differences.add("state", "present", "absent")
        if network["Containers"]:
            names = ", ".join(sorted(user["Name"] for user in network["Containers"].values())[:5])
            raise NetworkError("network {} is in use by {}: remove the devices first".format(network["Name"], names))
    if not differences:
        return nothing("the run has no network")
    return actions((Action("remove", network["Id"]) for network in have.ours), differences)


def build_network(content: dict[str, Any], state_dir: str) -> dict[str, Any]:
    """The network as keyword arguments of the Engine's create call."""
    network = content["network"]
    return {
        "name": network["name"],
        "driver": "bridge",
        "internal": True,
        "options": {BRIDGE_NAME: bridge_name(content["run"]), INHIBIT_IPV4: "true"},
        "ipam": {
            "Driver": "default",
            "Config": [{"Subnet": network["subnet"], "Gateway": network["gateway"]}],
        },
        "labels": labels(content["run"], KIND_NETWORK, content["lab_host"], state_dir),
    }


def compare(found: dict[str, Any], want: dict[str, Any], differences: Differences) -> None:
    """Record where an existing network differs from the requested one."""
    differences.compare("name", found["Name"], want["name"])
    differences.compare("driver", found["Driver"], want["driver"])
    differences.compare("internal", found["Internal"], want["internal"])
    config = (found["IPAM"]["Config"] or [{}])[0]
    for key in ("Subnet", "Gateway"):
        differences.compare(key.lower(), config.get(key), want["ipam"]["Config"][0][key])
    for group, actual in (("options", found["Options"] or {}), ("labels", found["Labels"] or {})):
        for key, value in want[group].items():
            differences.compare(key, actual.get(key), value)


def read_facts(client: Any, run: str, want: dict[str, Any] | None) -> Facts:
    """Read what exists of the run's network."""
    ours = [client.inspect_network(network["Id"]) for network in client.networks(filters=run_filter(run, KIND_NETWORK))]
    if want is None:
        return Facts(ours)
    identifiers = {network["Id"] for network in ours}
    named = [network for network in client.networks(names=[want["name"]]) if network["Name"] == want["name"]]
    switch = _find_ipv6_switch(want["options"][BRIDGE_NAME])
    ipv6 = switch.exists() and switch.read_text().strip() != "1"
    return Facts(ours, [network for network in named if network["Id"] not in identifiers], ipv6)


def _find_ipv6_switch(bridge: str) -> Path:
    return Path(IPV6_SWITCH % bridge)


class Handlers:
    """What carries out each action."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def carry_out(self, todo: Actions) -> None:
        todo.carry_out({"create": self.create, "remove": self.remove, "silence_ipv6": self.silence_ipv6})

    def create(self, action: Action) -> None:
        try:
            self.client.create_network(check_duplicate=True, **action.options)
        except APIError as error:
            reason = explain(error)
            if "overlap" in reason.lower():
                subnet = action.options["ipam"]["Config"][0]["Subnet"]
                raise NetworkError(
                    f"subnet {subnet} of run network {action.name} overlaps a network that the lab host already has "
                    f"({reason}): plan again so that another subnet is chosen (`fedsim-provision plan` reads the "
                    "networks in use), or remove the other network (`docker network ls`, `ip route`)"
                ) from error
            raise NetworkError(f"network {action.name} cannot be created: {reason}") from error

    def remove(self, action: Action) -> None:
        self.client.remove_network(action.name)

    def silence_ipv6(self, action: Action) -> None:
        switch = _find_ipv6_switch(action.name)
        if switch.exists():  # otherwise the Engine runs on another machine than this process
            switch.write_text("1\n")


def work(call: Call) -> dict[str, Any]:
    want = None
    if call.params["state"] == "present":
        want = build_network(read_device_file(call.params["device_file"], call.run), call.params["state_dir"])
    have = read_facts(call.client, call.run, want)
    todo = plan_network(have, want)
    name = want["name"] if want else next((network["Name"] for network in have.ours), call.run)
    if not call.check:
        Handlers(call.client).carry_out(todo)
        have = read_facts(call.client, call.run, want)
    answer = build_answer("network", name, todo.differences)
    if want and have.ours:
        answer["network"] = {
            "id": have.ours[0]["Id"],
            "name": have.ours[0]["Name"],
            "bridge": want["options"][BRIDGE_NAME],
            "subnet": (have.ours[0]["IPAM"]["Config"] or [{}])[0].get("Subnet"),
        }
    return answer


MODULE = Module(
    ARGUMENTS, work, "network of run {run}", engine=True, required_if=[("state", "present", ["device_file"])]
)


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
