"""Runs module fedsim_course in Ansible's own process where that is the same; asks an unreachable lab host again.

A connection may drop in the middle of a course, and a poll can be repeated: its reader has a cursor on the lab host.
Ansible itself would end the play for the lab host at once.
"""

from __future__ import annotations

import time
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.course_state import Outcome
from ansible_collections.fedsim.testbed.plugins.modules.fedsim_course import MODULE
from ansible_collections.fedsim.testbed.plugins.plugin_utils._worker_action import WorkerAction

AGAIN_S = 1.0
#: ServerAliveInterval times ServerAliveCountMax of ansible.cfg: so old is a silence when it is noticed.
NOTICED_AFTER_S = 15.0


class ActionModule(WorkerAction):
    module = MODULE

    def _run_module(self, tmp: str | None, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        if self._task.args.get("action") != "poll":
            return super()._run_module(tmp, task_vars)
        patience_s = float(self._task.args.get("patience_s") or 0.0)
        since: float | None = None
        while True:
            try:
                return super()._run_module(tmp, task_vars)
            except AnsibleConnectionFailure as error:
                now = time.monotonic()
                since = now if since is None else since
                if now - since + NOTICED_AFTER_S >= patience_s:
                    return self._go_on_without_it((task_vars or {}).get("inventory_hostname", ""), patience_s, error)
                self._display.vv(f"asked again, as the lab host cannot be reached: {error}")
                time.sleep(AGAIN_S)

    def _go_on_without_it(self, host: str, patience_s: float, error: Exception) -> dict[str, Any]:
        reason = f"lab host {host} could not be reached for {patience_s:g} s"
        self._display.warning(f"{reason}: {error}")
        return {
            "changed": False,
            "fedsim_news": [],
            "fedsim_snapshot": None,
            "finished": True,
            "outcome": Outcome("failed", reason).as_dict(),
        }
