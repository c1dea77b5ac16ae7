"""Running the playbooks of one run: log, progress, Ctrl-C."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from fedsim_runner.console.interrupts import Interrupts
from fedsim_runner.console.progress import Progress

from .playbook import Playbook, PlaybookResult, run_playbook

LOG = "ansible.log"


class PlaybookSession:
    """Entered for the length of a verb that runs playbooks. The main thread only."""

    def __init__(
        self,
        run: str,
        folder: Path,
        hosts_file: Path,
        lab_hosts: Sequence[str],
        progress: Progress,
        extra_vars: Mapping[str, Any],
        told: str = "interrupted: stopping and tearing down (Ctrl-C again to leave things as they are)",
    ) -> None:
        self._run_id = run
        self.folder = folder
        self.progress = progress
        self._hosts_file = hosts_file
        self._lab_hosts = lab_hosts
        self._extra_vars = {"fedsim_run_dir": str(folder), "fedsim_run": run, **extra_vars}
        self._interrupts = Interrupts(self._told)
        self._told_first = told
        self._log: TextIO | None = None
        self._heard: list[Mapping[str, Any]] = []

    def __enter__(self) -> PlaybookSession:
        self._log = (self.folder / LOG).open("a", encoding="utf-8")
        self._interrupts.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._interrupts.__exit__(kind, error, traceback)
        self.progress.close()
        if self._log is not None:
            self._log.close()

    @property
    def interrupts(self) -> int:
        """How often the user asked to stop."""
        return self._interrupts.count

    def run(
        self, playbook: str, ignore_interrupts: int = 0, keep: Sequence[str] = (), **extra_vars: Any
    ) -> PlaybookResult:
        """Run a playbook; it goes on through ``ignore_interrupts`` requests to stop and ends at the next one.

        ``keep``: see :class:`Playbook`.
        """
        assert self._log is not None, "a session is entered before it runs playbooks"
        log = self._log
        call = Playbook(playbook, self._hosts_file, self._run_id, self._lab_hosts, self._extra_vars, keep)

        def cancelled() -> bool:
            return self._interrupts.count > ignore_interrupts

        result = self._interrupts.run(lambda: run_playbook(call, log, self, cancelled))
        self.progress.close(failed=result.status != "successful")
        return result

    def stage(self, name: str) -> None:
        """A play begins (from :func:`run_playbook`)."""
        if name == "teardown" and self._extra_vars.get("fedsim_keep"):
            return  # all its tasks are skipped
        self.progress.stage(name)

    def news(self, event: Mapping[str, Any]) -> None:
        """A journal event came (from :func:`run_playbook`)."""
        self._heard.append(event)
        self.progress.news(event)

    def snapshot(self, snapshot: Mapping[str, Any]) -> None:
        """What the course does right now (from :func:`run_playbook`)."""
        self.progress.snapshot(snapshot)

    def save_journal_if_missing(self) -> None:
        """Keep what was heard of the agent's journal where the journal itself could not be fetched."""
        path = self.folder / "journal.jsonl"
        if self._heard and not path.exists():
            text = "".join(json.dumps(dict(event)) + "\n" for event in self._heard)
            path.write_text(text, encoding="utf-8")

    def _told(self, count: int) -> None:
        if count == 1:
            self.progress.note(self._told_first)
        elif count == 2:
            self.progress.note("interrupted again: stopping at once")
