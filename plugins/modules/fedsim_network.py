#!/usr/bin/python
"""The run's Docker network on a lab host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.names import (
    KIND_NETWORK,
    bridge_name,
    check_run,
    labels,
    run_filter,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._device_file import DeviceFileError, read_device_file
from ansible_collections.fedsim.testbed.plugins.module_utils._difference import Differences, render_diff
from ansible_collections.fedsim.testbed.plugins.module_utils._docker import (
    DOCKER_ARGUMENTS,
    APIError,
    connect_or_fail,
    explain,
)

DOCUMENTATION = r"""
module: fedsim_network
short_description: The isolated Docker network of a run
description:
  - Creates the run's network as the device file describes it, or removes it.
  - The bridge has no address of the lab host (neither IPv4 nor IPv6) and the network is C(internal), so devices reach
    each other and nothing else.
  - A network that differs is created anew if no container uses it, else the module fails and names the difference.
author: fedsim-runner (@fedsim-runner)
requirements: ["Docker SDK for Python", "Docker Engine 20.10 or newer"]
attributes:
  check_mode:
    support: full
    description: Nothing is changed, the answer says what would be.
  diff_mode:
    support: full
    description: Before and after of each option that differs.
options:
  state:
    description: Whether the network shall be there.
    type: str
    choices: [present, absent]
    default: present
  run:
    description: Run id.
    type: str
    required: true
  device_file:
    description: Device file on the lab host. Required for O(state=present).
    type: path
  state_dir:
    description: The run's state folder on the lab host, recorded in a label.
    type: path
    required: true
  docker_host:
    description: Where the Engine listens.
    type: str
    default: unix:///var/run/docker.sock
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
  returned: when it is there
  type: dict
  sample: {"id": "5c1e...", "name": "fedsim-quickstart", "bridge": "fsim-0a1b2c3d4e", "subnet": "198.18.0.0/24"}
"""

BRIDGE_NAME = "com.docker.network.bridge.name"
INHIBIT_IPV4 = "com.docker.network.bridge.inhibit_ipv4"
IPV6_SWITCH = "/proc/sys/net/ipv6/conf/%s/disable_ipv6"

ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "run": {"type": "str", "required": True},
    "device_file": {"type": "path"},
    "state_dir": {"type": "path", "required": True},
    **DOCKER_ARGUMENTS,
}


def wanted_network(content: dict[str, Any], state_dir: str) -> dict[str, Any]:
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


def compare(found: dict[str, Any], wanted: dict[str, Any], differences: Differences) -> None:
    """Record where an existing network differs from the wanted one."""
    differences.compare("name", found["Name"], wanted["name"])
    differences.compare("driver", found["Driver"], wanted["driver"])
    differences.compare("internal", found["Internal"], wanted["internal"])
    config = (found["IPAM"]["Config"] or [{}])[0]
    for key in ("Subnet", "Gateway"):
        differences.compare(key.lower(), config.get(key), wanted["ipam"]["Config"][0][key])
    for group, real in (("options", found["Options"] or {}), ("labels", found["Labels"] or {})):
        for key, value in wanted[group].items():
            differences.compare(key, real.get(key), value)


def create(module: AnsibleModule, client: Any, wanted: dict[str, Any]) -> None:
    try:
        client.create_network(check_duplicate=True, **wanted)
    except APIError as error:
        reason = explain(error)
        if "overlap" in reason.lower():
            subnet = wanted["ipam"]["Config"][0]["Subnet"]
            module.fail_json(
                msg="subnet {} of run network {} overlaps a network that lab host already has ({}): plan again so that "
                "another subnet is chosen (`fedsim-provision plan` reads the networks in use), or remove the other "
                "network (`docker network ls`, `ip route`)".format(subnet, wanted["name"], reason)
            )
        module.fail_json(msg="network {} cannot be created: {}".format(wanted["name"], reason))


def silence_ipv6(bridge: str, check: bool, differences: Differences) -> None:
    """The kernel gives every bridge a link-local IPv6 address: take it away where this process sees the bridge."""
    switch = Path(IPV6_SWITCH % bridge)
    # A bridge that was made just now has it always, which is part of making it and no difference of its own.
    made_now = bool(differences)
    if not switch.exists() or switch.read_text().strip() == "1":
        return
    if not made_now:
        differences.add("bridge disable_ipv6", "0", "1")
    if not check:
        switch.write_text("1\n")


def present(module: AnsibleModule, client: Any, run: str) -> None:
    try:
        content = read_device_file(module.params["device_file"], run)
    except DeviceFileError as error:
        module.fail_json(msg=str(error))
    wanted = wanted_network(content, module.params["state_dir"])
    found = client.networks(filters=run_filter(run, KIND_NETWORK))
    by_name = [network for network in client.networks(names=[wanted["name"]]) if network["Name"] == wanted["name"]]
    strange = [network for network in by_name if network["Id"] not in {ours["Id"] for ours in found}]
    if strange:
        module.fail_json(
            msg="a network named {} exists that is not this run's (it lacks the run's labels): remove it with "
            "`docker network rm {}`".format(wanted["name"], strange[0]["Id"][:12])
        )
    differences = Differences()
    if found:
        compare(found[0], wanted, differences)
        if differences and not module.check_mode:
            recreate(module, client, found[0], wanted, differences)
    else:
        differences.add("state", "absent", "present")
        if not module.check_mode:
            create(module, client, wanted)
    bridge = wanted["options"][BRIDGE_NAME]
    silence_ipv6(bridge, module.check_mode, differences)
    answer: dict[str, Any] = {"changed": bool(differences)}
    if module._diff:
        answer["diff"] = render_diff({wanted["name"]: differences.items}, "network")
    real = client.networks(filters=run_filter(run, KIND_NETWORK))
    if real:
        answer["network"] = {
            "id": real[0]["Id"],
            "name": real[0]["Name"],
            "bridge": bridge,
            "subnet": (real[0]["IPAM"]["Config"] or [{}])[0].get("Subnet"),
        }
    module.exit_json(**answer)


def recreate(
    module: AnsibleModule,
    client: Any,
    found: dict[str, Any],
    wanted: dict[str, Any],
    differences: Differences,
) -> None:
    users = client.inspect_network(found["Id"])["Containers"] or {}
    if users:
        items = ", ".join(entry["item"] for entry in differences.items)
        module.fail_json(
            msg=f"network {found['Name']} differs ({items}) and {len(users)} containers use it: "
            "take the run down first (`fedsim-provision down`)",
            differences=differences.items,
        )
    client.remove_network(found["Id"])
    create(module, client, wanted)


def absent(module: AnsibleModule, client: Any, run: str) -> None:
    found = client.networks(filters=run_filter(run, KIND_NETWORK))
    differences = Differences()
    for network in found:
        differences.add("state", "present", "absent")
        if module.check_mode:
            continue
        users = client.inspect_network(network["Id"])["Containers"] or {}
        if users:
            names = ", ".join(sorted(user["Name"] for user in users.values())[:5])
            module.fail_json(msg="network {} is in use by {}: remove the devices first".format(network["Name"], names))
        client.remove_network(network["Id"])
    answer: dict[str, Any] = {"changed": bool(differences)}
    if module._diff:
        answer["diff"] = render_diff({network["Name"]: differences.items for network in found}, "network")
    module.exit_json(**answer)


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENTS, supports_check_mode=True, required_if=[("state", "present", ["device_file"])]
    )
    try:
        run = check_run(module.params["run"])
    except ValueError as error:
        module.fail_json(msg=str(error))
    client = connect_or_fail(module)
    try:
        if module.params["state"] == "present":
            present(module, client, run)
        else:
            absent(module, client, run)
    except APIError as error:
        module.fail_json(msg=f"network of run {run}: {explain(error)}")
    finally:
        client.close()


if __name__ == "__main__":
    main()
