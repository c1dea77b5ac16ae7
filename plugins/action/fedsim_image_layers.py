"""Runs module fedsim_image_layers, and adds how a program is started over the same connection."""

from __future__ import annotations

from typing import Any

from ansible_collections.fedsim.testbed.plugins.modules.fedsim_image_layers import MODULE
from ansible_collections.fedsim.testbed.plugins.plugin_utils._remote_program import build_command
from ansible_collections.fedsim.testbed.plugins.plugin_utils._worker_action import WorkerAction


class ActionModule(WorkerAction):
    module = MODULE

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        if not result.get("failed") and "python" in result:
            result["command"] = build_command(self._connection, self._play_context, result["python"])
        return result
