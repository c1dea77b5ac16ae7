#!/usr/bin/python
"""Remove everything of a run from a lab host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fedsim_teardown
short_description: Remove everything of a run from a lab host
description:
  - Removes containers (the one that holds the network, devices, the agent) and the state folder of a run. Labels say
    what belongs to the run, so neither device file nor run folder is needed. Calling it twice is safe.
  - What cannot be removed does not keep the rest; the module then fails and names it.
  - Also removes the Docker network that runs had up to fedsim-runner 0.1.0.
author: fedsim-runner (@fedsim-runner)
extends_documentation_fragment:
  - fedsim.testbed.attributes
  - fedsim.testbed.docker
  - fedsim.testbed.run
  - fedsim.testbed.run.control
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: What exists before and not after.
options:
  state_root:
    description: Folder that holds the state folders of runs.
    type: path
    default: /var/lib/fedsim
"""

EXAMPLES = r"""
- name: Remove everything of this run
  fedsim.testbed.fedsim_teardown:
    run: quickstart
"""

RETURN = r"""
removed:
  description: Names of the removed containers and networks, and the removed state folders.
  returned: always
  type: dict
  sample: {"containers": ["fedsim-quickstart.pi-1"], "networks": ["fedsim-quickstart"], "state": []}
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._actions import Action, Actions, actions, nothing
from ansible_collections.fedsim.testbed.plugins.module_utils._batch import for_each_device
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.claim import release_claim
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.engine_address import check_engine_of
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.names import (
    KIND_AGENT,
    KIND_NETWORK,
    LABEL_KIND,
    LABEL_STATE,
    run_filter,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.paths import STATE_ROOT, StateFolder
from ansible_collections.fedsim.testbed.plugins.module_utils._difference import Differences
from ansible_collections.fedsim.testbed.plugins.module_utils._docker import (
    APIError,
    EngineError,
    NotFound,
    explain,
    list_containers,
    remove_container,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._folder_removal import remove_folder
from ansible_collections.fedsim.testbed.plugins.module_utils._module import (
    CONTROL,
    DOCKER,
    RUN,
    Call,
    Module,
    build_answer,
    run_module,
)

ARGUMENTS: dict[str, Any] = {
    "state_root": {"type": "path", "default": str(STATE_ROOT)},
    **RUN,
    **CONTROL,
    **DOCKER,
}


def plan_teardown(
    run: str, containers: Sequence[dict[str, Any]], networks: Sequence[dict[str, Any]], folders: Sequence[str]
) -> Actions:
    """Plan the removal of everything of a run, in a workable order.

    Args:
        run: run id.
        containers: the Engine's entries of the run's containers.
        networks: its Docker networks, which runs have had up to 0.1.0.
        folders: its state folders.
    """
    agents = [entry for entry in containers if entry["Labels"].get(LABEL_KIND) == KIND_AGENT]
    holders = [entry for entry in containers if entry["Labels"].get(LABEL_KIND) == KIND_NETWORK]
    others = [entry for entry in containers if entry["Labels"].get(LABEL_KIND) not in (KIND_AGENT, KIND_NETWORK)]
    differences = Differences()
    for kind, names in (
        ("containers", sorted(map(read_container_name, containers))),
        ("networks", sorted(network["Name"] for network in networks)),
        ("state", sorted(folders)),
    ):
        if names:
            differences.add(kind, names, [])
    if not differences:
        return nothing(f"nothing of run {run} is here")
    todo = [
        # The agent stops while its devices are removed, and does not report their end as a failed course.
        *(Action("signal", entry["Id"]) for entry in agents),
        *(
            Action("remove_containers", kind, {read_container_name(entry): entry["Id"] for entry in entries})
            # With the network, the kernel removes all devices' interfaces at once, not one after the other.
            for kind, entries in (("network", holders), ("devices", others), ("agents", agents))
            if entries
        ),
        *(Action("remove_network", network["Name"], {"id": network["Id"]}) for network in networks),
        *(Action("remove_folder", folder) for folder in sorted(folders)),
    ]
    return actions(todo, differences)


def read_container_name(entry: dict[str, Any]) -> str:
    """Return the name of a container in the Engine's list."""
    names = entry.get("Names") or [entry["Id"]]
    return str(names[0]).lstrip("/")


class Handlers:
    """What carries out each action; ``left`` says what could not be removed, and why."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.left: list[str] = []

    def carry_out(self, todo: Actions) -> None:
        """Carry out each action, even if one before it failed: a network that stays must not keep the state folder.

        Raises:
            EngineError: something could not be removed.
        """
        todo.carry_out(
            {
                "signal": self.signal,
                "remove_containers": self.remove_containers,
                "remove_network": self.remove_network,
                "remove_folder": self.remove_folder,
            }
        )
        if self.left:
            raise EngineError("; ".join(self.left))

    def signal(self, action: Action) -> None:
        try:
            self.client.kill(action.name, signal="SIGTERM")
        except APIError:
            # It is not running and will be removed anyway.
            return

    def remove_containers(self, action: Action) -> None:
        def remove_one(name: str, differences: Differences) -> None:
            remove_container(self.client, action.options[name])

        results = for_each_device(action.options, remove_one)
        self.left += [f"{name}: {result['msg']}" for name, result in sorted(results.items()) if result["failed"]]

    def remove_network(self, action: Action) -> None:
        try:
            users = self.client.inspect_network(action.options["id"])["Containers"] or {}
            for user in users:
                self.client.disconnect_container_from_network(user, action.options["id"], force=True)
            self.client.remove_network(action.options["id"])
        except NotFound:
            return
        except APIError as error:
            self.left.append(f"network {action.name}: {explain(error)}")

    def remove_folder(self, action: Action) -> None:
        state = StateFolder(Path(action.name))
        try:
            for path in sorted(state.path.iterdir()):
                if path.is_dir() and not path.is_symlink():
                    remove_folder(path)
                elif path != state.claim:
                    path.unlink(missing_ok=True)
            # The claim goes last, so that no other process makes the folder again before it is gone.
            release_claim(state)
        except OSError as error:  # a container that is still there writes into it
            self.left.append(f"{action.name}: {error}")


def find_state_folders(run: str, state_root: str, containers: list[dict[str, Any]]) -> list[Path]:
    """Return the run's state folders: in ``state_root`` and where the labels say; only folders with the run's name."""
    candidates = {Path(state_root) / run}
    candidates.update(Path(entry["Labels"].get(LABEL_STATE, "/")) for entry in containers)
    return sorted(
        path
        for path in candidates
        if path.is_absolute() and path.name == run and len(path.parts) > 2 and path.is_dir() and not path.is_symlink()
    )


def work(call: Call) -> dict[str, Any]:
    # Nothing is claimed where the run has no state folder.
    call.claim_run(Path(call.params["state_root"]) / call.run)
    try:
        containers = list_containers(call.client, run_filter(call.run))
        networks = call.client.networks(filters=run_filter(call.run))
        for folder in find_state_folders(call.run, call.params["state_root"], containers):
            check_engine_of(StateFolder(folder), call.params["docker_host"])
        folders = [str(folder) for folder in find_state_folders(call.run, call.params["state_root"], containers)]
        todo = plan_teardown(call.run, containers, networks, folders)
        if not call.check:
            Handlers(call.client).carry_out(todo)
    except EngineError as error:
        raise EngineError(f"run {call.run}: {error}") from error
    removed = {kind: [] for kind in ("containers", "networks", "state")}
    removed.update({entry["item"]: entry["before"] for entry in todo.differences.items})
    return build_answer("run", call.run, todo.differences, removed=removed)


MODULE = Module(ARGUMENTS, work, "run {run}", engine=True, of_run="{state_root}/{run}")


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
