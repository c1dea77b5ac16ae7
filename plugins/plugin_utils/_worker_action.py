"""Action plugins that run a module's work in Ansible's own process where the module would run on this machine anyway.

A module call costs Ansible half a second: it packs the module, starts another Python and imports everything again. In
the process in which an action plugin runs everything is in memory. Where the module has to run elsewhere or as another
user, it runs as if there were no action plugin.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.errors import UnsupportedError
from ansible.plugins.action.normal import ActionModule as ModuleAction
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.claim import control_of_worker
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.process_identity import is_alive
from ansible_collections.fedsim.testbed.plugins.module_utils._module import Module
from ansible_collections.fedsim.testbed.plugins.plugin_utils._docker_sdk import pack_sdk


class WorkerAction(ModuleAction):
    """Runs ``module``. Each module has a subclass in a file with the module's name, which is how Ansible finds it."""

    module: Module

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        if "control" not in self.module.arguments or "control" in self._task.args:
            return self._run_module(tmp, task_vars)
        # Only here, on the control node, is it known who calls, and which of its processes are gone.
        control = asdict(control_of_worker())
        self._task.args["control"] = control
        result = self._run_module(tmp, task_vars)
        claimed = result.get("fedsim_claimed_by")
        if claimed is not None and claimed["machine"] == control["machine"] and not is_alive(claimed["process"]):
            self._task.args["control"] = {**control, "gone": claimed["process"]}
            result = self._run_module(tmp, task_vars)
        return result

    def _run_module(self, tmp: str | None, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        arguments = self._copy_arguments() if self._is_here(task_vars or {}) else None
        if arguments is None:
            return self._run_elsewhere(tmp, task_vars)
        options, error = validate(self.module, arguments, self._task.action)
        warnings: list[str] = []
        if error is not None:
            answer = {"failed": True, "msg": error}
        else:
            with self._temporary_folder() as make_folder:
                answer = self.module.answer(
                    options,
                    check=bool(self._task.check_mode),
                    diff=bool(self._task.diff),
                    warn=warnings.append,
                    make_folder=make_folder,
                )
        # Plain values, as they would come from another process; a traceback only means something with its process.
        result = json.loads(json.dumps({**answer, "invocation": {"module_args": options}}))
        result.pop("exception", None)
        return {**result, "warnings": warnings} if warnings else result

    def _run_elsewhere(self, tmp: str | None, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """Run the module as a program; once more, if it had no Docker SDK and now has that of this Python."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        if result.pop("fedsim_sdk_missing", False) and not self._task.check_mode:
            shipped = self._execute_module(
                "fedsim.testbed.fedsim_docker_sdk", {"archive": pack_sdk()}, task_vars=task_vars
            )
            if shipped.get("failed"):
                return {**result, "failed": True, "msg": f"{result.get('msg', '')}; {shipped.get('msg')}"}
            result = super().run(tmp, task_vars)
            result.pop("fedsim_sdk_missing", None)
        return result

    def _is_here(self, task_vars: Mapping[str, Any]) -> bool:
        """Whether the module would be run by this Python, as this user and in this environment."""
        if self._connection.transport != "local" or self._task.async_val or any(self._task.environment or ()):
            return False
        if self._connection.become is not None:
            user = self.get_become_option("become_user") or "root"
            if user != pwd.getpwuid(os.geteuid()).pw_name:
                return False
        host = self._task.delegate_to
        variables = task_vars["hostvars"][host] if host else task_vars
        interpreter = self._templar.template(variables.get("ansible_python_interpreter"))
        return bool(interpreter == sys.executable)

    def _copy_arguments(self) -> dict[str, Any] | None:
        """Return the task's arguments as plain values; None if they contain what only Ansible can pass to a module."""
        try:
            copied = json.loads(json.dumps(self._task.args))
        except (TypeError, ValueError):
            return None
        return dict(copied)

    @contextmanager
    def _temporary_folder(self) -> Iterator[Callable[[], str]]:
        """Yield a function that makes a folder below Ansible's own, or returns it if it is there."""
        made: list[str] = []

        def make() -> str:
            if not made:
                parent = Path(self.get_shell_option("remote_tmp", "~/.ansible/tmp")).expanduser()
                parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                made.append(tempfile.mkdtemp(prefix="ansible-moduletmp-", dir=parent))
            return made[0]

        try:
            yield make
        finally:
            for folder in made:
                shutil.rmtree(folder, ignore_errors=True)


def validate(module: Module, arguments: dict[str, Any], name: str) -> tuple[dict[str, Any], str | None]:
    """Return the options as the module sees them, and what is wrong with them in AnsibleModule's words."""
    found = ArgumentSpecValidator(module.arguments, required_if=list(module.required_if)).validate(arguments)
    if not found.error_messages:
        return found.validated_parameters, None
    text = found.errors.msg
    if isinstance(found.errors[0], UnsupportedError):
        text = f"Unsupported parameters for ({name}) module: {text}"
    return found.validated_parameters, text
