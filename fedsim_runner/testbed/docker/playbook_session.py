"""Running the playbooks of one run: inventory, variables, log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from ..values import Listener, Stopped
from .ansible_log import AnsibleLog
from .playbook import Playbook, PlaybookResult, run_playbook
from .run_inventory import LabInventories

LOG = "ansible.log"


class PlaybookSession:
    """A context in which playbooks are run; Ansible's full output is written to ``folder`` if that is possible.

    Args:
        playbooks: folder of the playbooks; our own if left out.
    """

    def __init__(
        self,
        run: str,
        folder: Path,
        lab: LabInventories,
        listener: Listener,
        extra_vars: Mapping[str, Any],
        playbooks: Path | None = None,
    ) -> None:
        self._run_id = run
        self._log_path = folder / LOG
        self._lab = lab
        self._listener = listener
        self._extra_vars = {
            "fedsim_run_dir": str(folder),
            "fedsim_run": run,
            "fedsim_preflight_hosts": "lab_hosts",
            **extra_vars,
        }
        self._playbooks = playbooks
        self._log: AnsibleLog | None = None

    def __enter__(self) -> PlaybookSession:
        self._log = AnsibleLog(self._log_path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._log is not None:
            self._log.close()

    def run(self, playbook: str, keep: Sequence[str] = ()) -> PlaybookResult:
        """Run a playbook to its end. ``keep``: see :class:`Playbook`.

        Raises:
            Stopped: it failed or was cancelled.
        """
        assert self._log is not None, "a session is entered before it runs playbooks"
        lab = self._lab
        # A lab's inventory may have more hosts than the run.
        limit = lab.hosts if len(lab.files) > 1 else ()
        call = Playbook(playbook, lab.files, self._run_id, lab.hosts, self._extra_vars, keep, limit, lab.keys, lab.way)
        result = run_playbook(call, self._log, self, self._playbooks)
        if result.status != "successful":
            raise Stopped(result.stage, result.failure, self._log.path)
        return result

    def stage(self, name: str) -> None:
        """A play begins (from :func:`run_playbook`)."""
        if name == "teardown" and self._extra_vars.get("fedsim_keep"):
            return  # all its tasks are skipped
        self._listener.stage(name)

    def detail(self, text: str) -> None:
        """What a task says while it runs (from :func:`run_playbook`)."""
        self._listener.detail(text)

    def event(self, event: Mapping[str, Any]) -> None:
        """A journal event (from :func:`run_playbook`)."""
        self._listener.event(event)

    def snapshot(self, snapshot: Mapping[str, Any]) -> None:
        """The current state of the course (from :func:`run_playbook`)."""
        self._listener.snapshot(snapshot)

    def cancelled(self) -> bool:
        """Whether the playbook should stop (asked by :func:`run_playbook`)."""
        return self._listener.cancelled()
