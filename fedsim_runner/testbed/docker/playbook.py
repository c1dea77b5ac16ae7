"""The one place that calls ansible-runner. It avoids these traps:

- ansible-runner reports "successful" if no host matched: here every expected host must have been processed.
- A reused private data directory brings an old environment back: here each playbook has a fresh one, then removed.
- It writes the caller's whole environment into that directory: here that file is removed before the playbook starts.
- Its environment has traps of its own: ``playbook_environment.py`` avoids those.
- Ansible evaluates templates in extra variables, and so in a path like ``runs/{{ lookup('pipe', 'id') }}``: here texts
  are marked as such.
- Cancelling kills ansible-playbook but not its workers, which live in sessions of their own and would go on creating
  containers: they are found by a variable in their environment and ended too. An error in here kills nothing at all.
"""

from __future__ import annotations

import json
import shlex
import tempfile
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import ansible_runner

from fedsim_runner.content import collection_playbooks
from fedsim_runner.contract.atomic import explain
from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.lab.access import NO_KEYS, LabKeys
from fedsim_runner.temporary_folders import temporary_folder

from ..orphans import end_processes
from ..values import Failure, Listener
from .ansible_events import EventReader
from .ansible_log import Log
from .key_options import key_options
from .playbook_environment import CALL_VARIABLE, PlaybookEnvironment

# Seconds between two checks of the cancel flag while a task is silent.
CANCEL_POLL_S = 0.2

Status = Literal["successful", "failed", "canceled"]

# What helps, by words of Ansible's.
_HELPS = {
    "Missing sudo password": " (-K asks for it)",
    "vault secrets": " (--vault-id or --vault-password-file opens what is in a vault)",
}


@dataclass(frozen=True)
class Playbook:
    """What to run.

    Attributes:
        path: relative to playbooks/.
        inventories: hosts files; what a later one says of a host counts. Ansible's ``inventory_dir`` of a host is that
            of the first one that names it.
        run: the run's name.
        expected_hosts: hosts that must have been processed.
        extra_vars: variables, taken literally.
        keep: task results that have one of these keys are returned.
        limit: the only lab hosts to work on; empty: all.
        keys: what opens the lab hosts.
        way: what tells ssh's connections to them from others (``lab/ssh.py``); calls with the same one share them.
    """

    path: str
    inventories: Sequence[Path]
    run: str
    expected_hosts: Collection[str]
    extra_vars: Mapping[str, Any] = field(default_factory=dict)
    keep: Collection[str] = ()
    limit: Collection[str] = ()
    keys: LabKeys = NO_KEYS
    way: str = ""


@dataclass(frozen=True)
class PlaybookResult:
    """``stage`` is the play that ran last. ``changed`` counts changed tasks over all hosts."""

    status: Status
    stage: str | None
    failure: Failure | None
    changed: int
    results: tuple[Mapping[str, Any], ...] = ()
    by_host: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    failures: Sequence[Failure] = ()

    def why(self, host: str) -> str:
        """Why a host gave no result, in one line; what kept all of Ansible from working counts for each."""
        own = [failure for failure in self.failures if failure.host == host]
        reason = own[-1] if own else self.failure
        text = "no reason was given" if reason is None else " ".join(reason.text.split())
        hint = next((what for sign, what in _HELPS.items() if sign in text), "")
        return text.removeprefix("Task failed: ") + hint


def run_playbook(
    playbook: Playbook,
    log: Log,
    listener: Listener,
    playbooks_folder: Path | None = None,
) -> PlaybookResult:
    """Run one playbook to its end and return its result.

    Args:
        log: gets Ansible's full output as text.
        listener: gets stages and events as they happen, in this thread; once it is ``cancelled()`` the playbook
            and all its processes are ended.
        playbooks_folder: where ``playbook.path`` is looked up; our own playbooks if left out.

    Raises:
        FedsimError: there is no place for temporary files.
    """
    folder = playbooks_folder or collection_playbooks()
    reader = EventReader(listener, log, playbook.keep)
    try:
        with temporary_folder() as private:
            status, rc = _run(playbook, folder, private, listener, reader)
    except OSError as error:
        raise FedsimError(
            explain(error, Path(error.filename or tempfile.gettempdir())),
            Exit.PROVISIONING,
            hint="TMPDIR names another folder for temporary files",
        ) from error
    return _result(status, rc, reader, playbook)


def _run(
    playbook: Playbook, folder: Path, private: Path, listener: Listener, reader: EventReader
) -> tuple[str, int | None]:
    """Run it to its end; return ansible-runner's status and ansible-playbook's exit code."""
    call = uuid.uuid4().hex

    def cancel() -> bool:
        if not listener.cancelled():
            return False
        end_processes(CALL_VARIABLE, call)
        return True

    variables = private / "extra_vars.json"
    variables.write_text(json.dumps(_literal(playbook.extra_vars)), encoding="utf-8")
    words = ["-e", f"@{variables}"]
    if playbook.limit:
        # As a file: the names of a thousand hosts do not fit on a command line.
        limit = private / "limit"
        limit.write_text("\n".join(sorted(playbook.limit)) + "\n", encoding="utf-8")
        words += ["--limit", f"@{limit}"]
    with key_options(playbook.keys, private) as keys:
        return _run_with([*words, *keys], playbook, folder, private, call, reader, cancel)


def _run_with(
    words: Sequence[str],
    playbook: Playbook,
    folder: Path,
    private: Path,
    call: str,
    reader: EventReader,
    cancel: Callable[[], bool],
) -> tuple[str, int | None]:
    # This call, and no later one, copies the environment.
    with PlaybookEnvironment(playbook.run, call, private, playbook.way):
        runner = ansible_runner.interface.init_runner(
            private_data_dir=str(private),
            project_dir=str(folder),
            playbook=playbook.path,
            inventory=[str(path) for path in playbook.inventories],
            # Not `extravars`: those become command line text, which loses their types.
            cmdline=shlex.join(words),
            settings={"pexpect_timeout": CANCEL_POLL_S, "suppress_ansible_output": True},
            quiet=True,
            event_handler=reader.feed,
            cancel_callback=cancel,
            status_handler=_forget_environment,
        )
    try:
        runner.run()
    except BaseException:
        end_processes(CALL_VARIABLE, call)
        raise
    if runner.status == "canceled":
        # A worker may have forked a module between the scan of /proc and the kill.
        end_processes(CALL_VARIABLE, call)
    return runner.status, runner.rc


def _forget_environment(status: Mapping[str, Any], runner_config: Any) -> None:
    """Remove the file in which ansible-runner has just written the environment, right before it starts the playbook."""
    if status["status"] == "running":
        Path(runner_config.artifact_dir, "command").unlink(missing_ok=True)


def _result(status: str, rc: int | None, reader: EventReader, playbook: Playbook) -> PlaybookResult:
    def result(outcome: Status, failure: Failure | None = None) -> PlaybookResult:
        return PlaybookResult(
            outcome, reader.stage, failure, reader.changed, tuple(reader.results), reader.by_host, reader.failures
        )

    if status == "canceled":
        return result("canceled")
    if status != "successful" or rc != 0:
        return result("failed", reader.failure(rc))
    missing = sorted(set(playbook.expected_hosts) - reader.processed)
    if missing:
        text = f"playbook {playbook.path} did not reach {', '.join(missing)}: no play matched the inventory's hosts"
        return result("failed", Failure(reader.stage, None, None, text))
    return result("successful")


def _literal(value: object) -> object:
    """The value with all texts marked as no template, in the form that Ansible's JSON has for that."""
    if isinstance(value, str):
        return {"__ansible_unsafe": value}
    if isinstance(value, Mapping):
        return {key: _literal(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_literal(item) for item in value]
    return value
