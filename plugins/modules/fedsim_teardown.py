#!/usr/bin/python
"""Removing everything a run made on a lab host."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.fedsim.testbed.plugins.module_utils._batch import each_device
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.names import (
    KIND_AGENT,
    LABEL_KIND,
    LABEL_STATE,
    check_run,
    run_filter,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.paths import STATE_ROOT
from ansible_collections.fedsim.testbed.plugins.module_utils._difference import Differences, render_diff
from ansible_collections.fedsim.testbed.plugins.module_utils._docker import (
    DOCKER_ARGUMENTS,
    APIError,
    EngineError,
    NotFound,
    connect_or_fail,
    explain,
    inspect_or_none,
    list_containers,
)

DOCUMENTATION = r"""
module: fedsim_teardown
short_description: Remove everything of a run from a lab host
description:
  - Removes containers (devices first, the agent after them), the network and the state folder of a run. What belongs to
    the run is decided by label, so neither device file nor run folder is needed, and calling it twice is safe.
author: fedsim-runner (@fedsim-runner)
requirements: ["Docker SDK for Python"]
attributes:
  check_mode:
    support: full
    description: Nothing is changed, the answer says what would be.
  diff_mode:
    support: full
    description: What is there before and not after.
options:
  run:
    description: Run id.
    type: str
    required: true
  state_root:
    description: Folder that holds the state folders of runs.
    type: path
    default: /var/lib/fedsim
  docker_host:
    description: Where the Engine listens.
    type: str
    default: unix:///var/run/docker.sock
"""

EXAMPLES = r"""
- name: Nothing of this run stays
  fedsim.testbed.fedsim_teardown:
    run: quickstart
"""

RETURN = r"""
removed:
  description: Names of the containers and networks, and the state folders removed.
  returned: always
  type: dict
  sample: {"containers": ["fedsim-quickstart-pi-1"], "networks": ["fedsim-quickstart"], "state": []}
"""

ARGUMENTS: dict[str, Any] = {
    "run": {"type": "str", "required": True},
    "state_root": {"type": "path", "default": str(STATE_ROOT)},
    **DOCKER_ARGUMENTS,
}
GONE_WITHIN_S = 60


class Teardown:
    def __init__(self, client: Any, run: str, check: bool) -> None:
        self.client = client
        self.run = run
        self.check = check

    def containers(self, found: list[dict[str, Any]]) -> list[str]:
        """Remove the run's containers; their names."""
        agents = [entry for entry in found if entry["Labels"].get(LABEL_KIND) == KIND_AGENT]
        others = [entry for entry in found if entry["Labels"].get(LABEL_KIND) != KIND_AGENT]
        if not self.check:
            for entry in agents:
                # It ends by itself while its devices go, and does not report their end as a failed course.
                self._signal(entry["Id"])
            self._remove(others)
            self._remove(agents)
        return sorted(_name(entry) for entry in found)

    def networks(self) -> list[str]:
        """Remove the run's networks; their names."""
        found = self.client.networks(filters=run_filter(self.run))
        if not self.check:
            for network in found:
                self._remove_network(network["Id"])
        return sorted(network["Name"] for network in found)

    def _remove(self, entries: list[dict[str, Any]]) -> None:
        by_name = {_name(entry): entry["Id"] for entry in entries}

        def one(name: str, differences: Differences) -> None:
            remove_container(self.client, by_name[name])

        failed = {name: result["msg"] for name, result in each_device(by_name, one).items() if result["failed"]}
        if failed:
            raise EngineError("; ".join("{}: {}".format(*pair) for pair in sorted(failed.items())))

    def _signal(self, identifier: str) -> None:
        try:
            self.client.kill(identifier, signal="SIGTERM")
        except APIError:
            # It is not running: it will be removed all the same.
            return

    def _remove_network(self, identifier: str) -> None:
        try:
            users = self.client.inspect_network(identifier)["Containers"] or {}
            for user in users:
                self.client.disconnect_container_from_network(user, identifier, force=True)
            self.client.remove_network(identifier)
        except NotFound:
            return


def remove_container(client: Any, identifier: str) -> None:
    """Remove by force; if somebody else is at it already, wait until it is gone."""
    try:
        client.remove_container(identifier, force=True, v=True)
        return
    except NotFound:
        return
    except APIError as error:
        if error.response is None or error.response.status_code != 409:
            raise
    deadline = time.monotonic() + GONE_WITHIN_S
    while inspect_or_none(client, identifier) is not None:
        if time.monotonic() > deadline:
            raise EngineError("its removal does not end")
        time.sleep(0.1)


def _name(entry: dict[str, Any]) -> str:
    names = entry.get("Names") or [entry["Id"]]
    return str(names[0]).lstrip("/")


def state_folders(run: str, state_root: str, containers: list[dict[str, Any]]) -> list[Path]:
    """The run's state folders: where they belong, and where the labels say. Nothing but folders named like the run."""
    candidates = {Path(state_root) / run}
    candidates.update(Path(entry["Labels"].get(LABEL_STATE, "/")) for entry in containers)
    return sorted(
        path
        for path in candidates
        if path.is_absolute() and path.name == run and len(path.parts) > 2 and path.is_dir() and not path.is_symlink()
    )


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        run = check_run(module.params["run"])
    except ValueError as error:
        module.fail_json(msg=str(error))
    client = connect_or_fail(module)
    teardown = Teardown(client, run, module.check_mode)
    try:
        found = list_containers(client, run_filter(run))
        folders = state_folders(run, module.params["state_root"], found)
        removed = {
            "containers": teardown.containers(found),
            "networks": teardown.networks(),
            "state": [str(folder) for folder in folders],
        }
        if not module.check_mode:
            for folder in folders:
                shutil.rmtree(folder)
    except (EngineError, OSError) as error:
        module.fail_json(msg=f"run {run}: {explain(error)}")
    finally:
        client.close()
    differences = Differences()
    for kind, names in removed.items():
        if names:
            differences.add(kind, names, [])
    answer: dict[str, Any] = {"changed": bool(differences), "removed": removed}
    if module._diff:
        answer["diff"] = render_diff({run: differences.items}, "run")
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
