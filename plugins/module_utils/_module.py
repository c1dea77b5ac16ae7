"""What every module does around its work: options, the run id, the Engine, and one exit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.errors import Exit, FedsimError
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.names import check_run
from ansible_collections.fedsim.testbed.plugins.module_utils._difference import Differences, render_diff
from ansible_collections.fedsim.testbed.plugins.module_utils._docker import SDK_ERROR, EngineError, connect, explain

#: Options that several modules have; the doc fragment of the same name describes each.
DOCKER: dict[str, Any] = {"docker_host": {"type": "str", "default": "unix:///var/run/docker.sock"}}
RUN: dict[str, Any] = {"run": {"type": "str", "required": True}}
STATE_DIR: dict[str, Any] = {"state_dir": {"type": "path", "required": True}}
DEVICES: dict[str, Any] = {"devices": {"type": "str", "default": ""}}


class FailedError(FedsimError):
    """The module fails but still has something to return."""

    exit = Exit.PROVISIONING

    def __init__(self, message: str, **answer: Any) -> None:
        super().__init__(message)
        self.answer = answer


class Call:
    """What a module was called with. ``client`` talks to the Engine; None for modules that do not need one."""

    def __init__(self, module: AnsibleModule, client: Any) -> None:
        self.params: Mapping[str, Any] = module.params
        self.check: bool = module.check_mode
        self.tmpdir: str = module.tmpdir
        self.warn: Callable[[str], None] = module.warn
        self.run_command: Callable[..., Any] = module.run_command
        self.client = client
        self.run: str = module.params.get("run", "")


def run_module(
    arguments: dict[str, Any],
    work: Callable[[Call], dict[str, Any]],
    about: str = "",
    *,
    engine: bool = False,
    required_if: Sequence[tuple[str, Any, list[str]]] = (),
    import_error: str | None = None,
    expected: tuple[type[Exception], ...] = (OSError,),
) -> None:
    """Call ``work`` and end the module with what it returns, or with the message of what it raises.

    Args:
        arguments: the argument spec.
        work: the module's own part; returns the module's result, including ``changed``.
        about: the subject of an unforeseen failure, with options in braces: ``network of run {run}``.
        engine: connect to the Docker Engine first.
        required_if: as in AnsibleModule.
        import_error: traceback of a failed import of fedsim-runner, for modules of the control node.
        expected: errors besides FedsimError to report without a traceback. Those of the Docker SDK are OSErrors.
    """
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True, required_if=list(required_if))
    if import_error:
        module.fail_json(
            msg="the Python that runs Ansible has no fedsim-runner: install it into ansible-playbook's environment",
            exception=import_error,
        )
    client = None
    try:
        if "run" in arguments:
            check_run(module.params["run"])
        if engine:
            client = _connect(module)
        answer = work(Call(module, client))
    except FailedError as error:
        module.fail_json(msg=str(error), **_drop_unrequested_diff(module, error.answer))
    except FedsimError as error:
        module.fail_json(msg=str(error))
    except expected as error:
        module.fail_json(msg=f"{about.format(**module.params)}: {explain(error)}" if about else explain(error))
    finally:
        if client is not None:
            client.close()
    module.exit_json(**_drop_unrequested_diff(module, answer))


def build_answer(header: str, name: str, differences: Differences, **values: Any) -> dict[str, Any]:
    """Return the result of a module that brings one object to the requested state."""
    diff = render_diff({name: differences.items}, header)
    return {"changed": bool(differences), "diff": diff, **values}


def build_device_answer(
    header: str, results: dict[str, dict[str, Any]], changed: bool = False, **values: Any
) -> dict[str, Any]:
    """Return the result of a module that works on devices.

    Raises:
        FailedError: some failed; the text names the first of them.
    """
    failed = sorted(name for name, result in results.items() if result["failed"])
    answer: dict[str, Any] = {
        "changed": changed or any(result["changed"] for result in results.values()),
        "devices": results,
        "failed_devices": failed,
        "diff": render_diff({name: result["diff"] for name, result in results.items()}, header),
        **values,
    }
    if failed:
        shown = "; ".join("{}: {}".format(name, results[name]["msg"]) for name in failed[:5])
        more = "" if len(failed) <= 5 else f"; and {len(failed) - 5} more"
        raise FailedError(f"{len(failed)} of {len(results)} devices failed: {shown}{more}", **answer)
    return answer


def _connect(module: AnsibleModule) -> Any:
    try:
        return connect(module.params["docker_host"])
    except EngineError as error:
        extra = {"exception": SDK_ERROR} if SDK_ERROR else {}
        raise FailedError(str(error), engine_answers=False, **extra) from error


def _drop_unrequested_diff(module: AnsibleModule, answer: dict[str, Any]) -> dict[str, Any]:
    """Return the answer without its diff unless diff mode is on."""
    return answer if module._diff else {key: value for key, value in answer.items() if key != "diff"}
