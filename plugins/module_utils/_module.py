"""What every module does around its work: the run id, the Engine, failures; and how it is run as a program."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.claim import (
    RunBusyError,
    is_claimed_by_another,
    parse_control,
    take_claim,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.errors import Exit, FedsimError
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.names import check_run
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.paths import StateFolder
from ansible_collections.fedsim.testbed.plugins.module_utils._difference import Differences, render_diff
from ansible_collections.fedsim.testbed.plugins.module_utils._docker import (
    SDK_ERROR,
    EngineError,
    connect,
    explain,
    wait_for_engine,
)

#: Options that several modules have; the doc fragment of the same name describes each.
DOCKER: dict[str, Any] = {"docker_host": {"type": "str", "default": "unix:///var/run/docker.sock"}}
RUN: dict[str, Any] = {"run": {"type": "str", "required": True}}
STATE_DIR: dict[str, Any] = {"state_dir": {"type": "path", "required": True}}
#: Filled in by the action plugin (see ``_worker_action.py``).
CONTROL: dict[str, Any] = {"control": {"type": "dict"}}
DEVICES: dict[str, Any] = {"devices": {"type": "str", "default": ""}}


class FailedError(FedsimError):
    """The module fails but still has something to return."""

    exit = Exit.PROVISIONING

    def __init__(self, message: str, **answer: Any) -> None:
        super().__init__(message)
        self.answer = answer


class Call:
    """What a module was called with. ``client`` talks to the Engine; None for modules that do not need one."""

    def __init__(
        self,
        params: Mapping[str, Any],
        check: bool,
        client: Any,
        warn: Callable[[str], None],
        make_folder: Callable[[], str],
    ) -> None:
        self.params = params
        self.check = check
        self.client = client
        self.warn = warn
        self.run: str = params.get("run", "")
        self._make_folder = make_folder

    def claim_run(self, state_dir: str | Path, *, make: bool = False) -> None:
        """Claim the run for the process that called the module. Without option ``control`` that is nobody.

        Args:
            state_dir: the run's state folder.
            make: make it if it is missing; otherwise nothing is claimed then.

        Raises:
            RunBusyError: another process works on the run.
        """
        if self.params.get("control"):
            take_claim(StateFolder(Path(state_dir)), parse_control(self.params["control"]), make=make, check=self.check)

    def is_beside_another(self, state_dir: str | Path) -> bool:
        """Whether another process works on the run, so that nothing of it may be touched."""
        control = self.params.get("control")
        return bool(control) and is_claimed_by_another(StateFolder(Path(state_dir)), parse_control(control))

    @property
    def tmpdir(self) -> str:
        """A folder for this call alone, which is removed after it."""
        return self._make_folder()


@dataclass(frozen=True)
class Module:
    """A module, however it is run: as a program on a lab host, or by its action plugin in Ansible's own process.

    Attributes:
        arguments: the argument spec.
        work: the module's own part; returns the module's result, including ``changed``.
        about: the subject of an unforeseen failure, with options in braces: ``network of run {run}``.
        engine: connect to the Docker Engine first.
        of_run: a folder that is there if the Engine has worked on the run, with options in braces: an Engine that
            restarts is then waited for.
        required_if: as in AnsibleModule.
        import_error: traceback of a failed import of fedsim-runner, for modules of the control node.
        expected: errors besides FedsimError to report without a traceback. Those of the Docker SDK are OSErrors.
    """

    arguments: dict[str, Any]
    work: Callable[[Call], dict[str, Any]]
    about: str = ""
    engine: bool = False
    of_run: str = ""
    required_if: Sequence[tuple[str, Any, list[str]]] = ()
    import_error: str | None = None
    expected: tuple[type[Exception], ...] = (OSError,)

    def answer(
        self,
        params: Mapping[str, Any],
        *,
        check: bool,
        diff: bool,
        warn: Callable[[str], None],
        make_folder: Callable[[], str],
    ) -> dict[str, Any]:
        """Return what ``work`` returns, or a failed result with the message of what it raises.

        Args:
            params: the options, validated.
            check: check mode is on.
            diff: diff mode is on.
            warn: shows a warning to whoever runs Ansible.
            make_folder: makes the call's temporary folder, or returns it if it is there.
        """
        try:
            answer = self._call_work(params, check, warn, make_folder)
        except FailedError as error:
            answer = {**error.answer, "failed": True, "msg": str(error)}
        except RunBusyError as error:
            claimed_by = {"fedsim_claimed_by": asdict(error.control)} if error.control else {}
            answer = {"failed": True, "msg": str(error), "fedsim_exit_code": error.exit, **claimed_by}
        except FedsimError as error:
            answer = {"failed": True, "msg": str(error)}
        except self.expected as error:
            subject = f"{self.about.format(**params)}: " if self.about else ""
            answer = {"failed": True, "msg": f"{subject}{explain(error)}"}
        return answer if diff else {key: value for key, value in answer.items() if key != "diff"}

    def _call_work(
        self, params: Mapping[str, Any], check: bool, warn: Callable[[str], None], make_folder: Callable[[], str]
    ) -> dict[str, Any]:
        if self.import_error:
            raise FailedError(
                "the Python that runs Ansible has no fedsim-runner: install it into ansible-playbook's environment",
                exception=self.import_error,
            )
        if self.arguments.get("run", {}).get("required"):
            check_run(params["run"])
        client = self._connect(params) if self.engine else None
        try:
            return self.work(Call(params, check, client, warn, make_folder))
        finally:
            if client is not None:
                client.close()

    def _connect(self, params: Mapping[str, Any]) -> Any:
        is_known = bool(self.of_run) and Path(self.of_run.format(**params)).is_dir()
        try:
            return (wait_for_engine if is_known else connect)(params["docker_host"])
        except EngineError as error:
            extra = {"exception": SDK_ERROR} if SDK_ERROR else {}
            raise FailedError(str(error), engine_answers=False, **extra) from error


def run_module(module: Module) -> None:
    """Be the program that Ansible starts on a lab host: read the options, print the result and exit."""
    program = AnsibleModule(
        argument_spec=module.arguments, supports_check_mode=True, required_if=list(module.required_if)
    )
    answer = module.answer(
        program.params,
        check=program.check_mode,
        diff=program._diff,
        warn=program.warn,
        make_folder=lambda: program.tmpdir,
    )
    if SDK_ERROR and module.arguments.keys() >= DOCKER.keys():
        answer["fedsim_sdk_missing"] = True
    if answer.get("failed"):
        program.fail_json(**answer)
    program.exit_json(**answer)


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
