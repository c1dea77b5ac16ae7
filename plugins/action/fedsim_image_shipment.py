"""Sends images between lab hosts: see module fedsim_image_shipment."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from ansible.utils.display import Display
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.engine_address import socket_path
from ansible_collections.fedsim.testbed.plugins.module_utils._module import Call, FailedError
from ansible_collections.fedsim.testbed.plugins.modules.fedsim_image_shipment import MODULE
from ansible_collections.fedsim.testbed.plugins.plugin_utils._image_shipment import End, Progress, ship
from ansible_collections.fedsim.testbed.plugins.plugin_utils._remote_program import Host
from ansible_collections.fedsim.testbed.plugins.plugin_utils._shipment_lines import ShipmentLines
from ansible_collections.fedsim.testbed.plugins.plugin_utils._worker_action import WorkerAction

#: Where Ansible's become plugins look for a password; the first that is set counts.
PASSWORD_VARIABLES = ("ansible_become_password", "ansible_become_pass", "ansible_sudo_pass")


class ActionModule(WorkerAction):
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        self.module = replace(MODULE, work=partial(self._work, task_vars or {}))
        return super().run(tmp, task_vars)

    def _is_here(self, task_vars: Mapping[str, Any]) -> bool:
        """Always: only this process knows the connections of all lab hosts."""
        return True

    def _work(self, task_vars: Mapping[str, Any], call: Call) -> dict[str, Any]:
        shipments = call.params["shipments"]
        errors: dict[str, str] = {}
        for shipment in [] if call.check else shipments:
            errors |= self._ship(shipment, call.params["hosts"], task_vars)
        return {"changed": bool(shipments), "errors": errors}

    def _ship(
        self, shipment: Mapping[str, Any], hosts: Mapping[str, Any], task_vars: Mapping[str, Any]
    ) -> dict[str, str]:
        """Return why a receiver failed, by name. One that failed earlier in the play is not among ``hosts``."""
        builder = shipment["builder"]
        to = {name: refs for name, refs in shipment["to"].items() if name in hosts}
        if builder not in hosts:
            return dict.fromkeys(to, f"lab host {builder}, which has the images, failed earlier")
        ends = {name: self._end_of(name, hosts[name], task_vars) for name in (builder, *to)}
        lines, parent = ShipmentLines(builder), os.getppid()

        def watch(progress: list[Progress]) -> None:
            if os.getppid() != parent:
                raise FailedError("Ansible has ended before the images were sent")
            self._say(lines.next(progress, time.monotonic()))

        errors = ship(
            ends[builder],
            {name: (ends[name], refs) for name, refs in to.items()},
            shipment["refs"],
            watch,
        )
        self._say(lines.last(time.monotonic()))
        return errors

    def _end_of(self, name: str, found: Mapping[str, Any], task_vars: Mapping[str, Any]) -> End:
        variables = task_vars["hostvars"][name]
        given = [self._templar.template(variables[key]) for key in PASSWORD_VARIABLES if key in variables]
        password = str(given[0]) if given else self._play_context.become_pass or ""
        return End(
            Host(name, tuple(found["command"]), password),
            socket_path(found["docker_host"]),
            found["chains"],
            found["sent"],
            found["images"],
            found["has_containerd_store"],
        )

    def _say(self, line: str | None) -> None:
        if line is not None:
            Display().display(line)
