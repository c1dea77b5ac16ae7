"""Runs module fedsim_reservation in Ansible's own process where that is the same."""

from __future__ import annotations

from ansible_collections.fedsim.testbed.plugins.modules.fedsim_reservation import MODULE
from ansible_collections.fedsim.testbed.plugins.plugin_utils._worker_action import WorkerAction


class ActionModule(WorkerAction):
    module = MODULE
