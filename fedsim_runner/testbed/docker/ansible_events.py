"""Reduces ansible-runner's events to what a person wants to know: stages, events of the run, one clear failure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fedsim_runner.contract.errors import Exit
from fedsim_runner.contract.events import LabHostUnreachable
from fedsim_runner.contract.log_text import harmless
from fedsim_runner.contract.shipment_lines import SHIPMENT

from ..values import Failure, Listener
from .ansible_log import Log

# Results of tasks come in these events; `runner_retry` is one unsuccessful try of an until loop.
RESULT_EVENTS = frozenset(
    {
        "runner_on_ok",
        "runner_on_failed",
        "runner_retry",
        "runner_item_on_ok",
        "runner_item_on_failed",
        "runner_on_async_poll",
    }
)
FAILURE_EVENTS = frozenset({"runner_on_failed", "runner_on_unreachable", "runner_item_on_failed"})
ERROR_LINE = re.compile(r"^(?:ERROR! |\[ERROR\]: )(.*)$")
# Stages that need all lab hosts. Ansible announces the plays after one that failed, though no host is left for them.
NEED_ALL = frozenset(
    {"preflight", "lab host", "images", "participants", "network", "agent", "devices", "links"},
)
# Stages that do what they can for the lab hosts that are left.
GO_ON_WITHOUT = frozenset({"collect", "teardown"})
KEPT_LINES = 20
# What Ansible's template engine says, in its versions from 2.17 to 2.21.
TEMPLATE_TEXT = re.compile(
    r"object of type '\w+' has no attribute|' is undefined|Error while (evaluating|resolving|templating)|"
    r"Finalization of task args|The (conditional check|filter plugin|test plugin) '|[Jj]inja|"
    r"[Tt]emplate (error|syntax)|Syntax error in (expression|template)|Conditional result .* was"
)


class EventReader:
    """Processes ansible-runner's events one by one."""

    def __init__(self, listener: Listener, log: Log, keep: Collection[str] = ()) -> None:
        """``keep``: results with one of these keys are kept in ``results``, and joined for each host in ``by_host``."""
        self._listener = listener
        self._log = log
        self._keep = frozenset(keep)
        self.results: list[Mapping[str, Any]] = []
        self.by_host: dict[str, Mapping[str, Any]] = {}
        self.failures: list[Failure] = []
        self._last_lines: list[str] = []
        self.stage: str | None = None
        self.processed: set[str] = set()
        self.changed = 0

    def feed(self, event: Mapping[str, Any]) -> bool:
        """Process one event. Return False, so that ansible-runner does not write a file for it."""
        self._keep_text(str(event.get("stdout") or ""))
        kind = event.get("event")
        data = event.get("event_data") or {}
        if kind == "playbook_on_play_start" and not self._has_ended:
            # Play names begin with a capital letter, stage names do not.
            self.stage = str(data.get("name") or data.get("play") or "").lower()
            self._listener.stage(self.stage)
        elif kind == "playbook_on_stats":
            self.processed = set(data.get("processed") or {})
            self.changed = sum((data.get("changed") or {}).values())
        elif kind == "verbose":
            for line in harmless(str(event.get("stdout") or "")).splitlines():
                if line.startswith(SHIPMENT):
                    self._listener.detail(line)
        if kind in FAILURE_EVENTS and not data.get("ignore_errors"):
            self.failures.append(self._failure(data))
        if kind == "runner_on_unreachable" and self.stage in GO_ON_WITHOUT:
            self._listener.event(LabHostUnreachable(data.get("host"), self.stage).as_dict())
        if kind in RESULT_EVENTS:
            for item in _journal_events(data.get("res")):
                self._listener.event(item)
            result = data.get("res")
            if isinstance(result, Mapping) and isinstance(result.get("fedsim_snapshot"), Mapping):
                self._listener.snapshot(result["fedsim_snapshot"])
            if isinstance(result, Mapping) and self._keep & result.keys():
                self.results.append(result)
                host = str(data.get("host"))
                self.by_host[host] = {**self.by_host.get(host, {}), **result}
        return False

    @property
    def _has_ended(self) -> bool:
        return bool(self.failures) and self.failures[-1].stage in NEED_ALL

    def failure(self, rc: int | None) -> Failure:
        """Why the playbook ended: the first task that failed in the last stage with one, or what Ansible printed.

        Its ``host`` names all lab hosts of which the task said the same.
        """
        if self.failures:
            return _join([failure for failure in self.failures if failure.stage == self.failures[-1].stage])
        errors = [match[1] for line in self._last_lines if (match := ERROR_LINE.match(line))]
        if errors:
            return Failure(self.stage, None, None, without_template_text(errors[0], None))
        if rc == 127:
            return Failure(self.stage, None, None, "ansible-playbook was not found: is ansible-core installed?")
        shown = " / ".join(self._last_lines[-3:]) or "no output"
        return Failure(self.stage, None, None, f"ansible-playbook ended with exit code {rc}: {shown}")

    def _keep_text(self, text: str) -> None:
        clean = harmless(text.replace("\r\n", "\n"))
        if not clean:
            return
        self._log.write(clean if clean.endswith("\n") else clean + "\n")
        lines = [line for line in clean.splitlines() if line.strip()]
        self._last_lines = [*self._last_lines, *lines][-KEPT_LINES:]

    def _failure(self, data: Mapping[str, Any]) -> Failure:
        result = data.get("res")
        code = result.get("fedsim_exit_code") if isinstance(result, Mapping) else None
        return Failure(
            stage=self.stage,
            task=data.get("task"),
            host=data.get("host"),
            text=without_template_text(failure_text(result), data.get("task")),
            exit_code=code if isinstance(code, int) else None,
        )


def _join(failures: Sequence[Failure]) -> Failure:
    """The first failure of a stage, with all lab hosts that it concerns.

    What fails after it is its consequence, on this lab host or on others; but where the same task said the same of
    another lab host, or that it is unfit too, the user is to know it at once and not after the next attempt.
    """
    first = failures[0]
    hosts: dict[str, list[str]] = {}
    for failure in failures:
        unfit = failure.exit_code == first.exit_code == Exit.LAB
        if failure.host is not None and failure.task == first.task and (unfit or failure.text == first.text):
            hosts.setdefault(failure.text, []).append(failure.host)
    if not hosts:
        return first
    names, *others = (", ".join(sorted(set(found))) for found in hosts.values())
    _, *texts = hosts
    more = "".join(f"; on {name}: {text}" for name, text in zip(others, texts, strict=True))
    return replace(first, host=names, text=first.text + more)


def without_template_text(message: str, task: str | None) -> str:
    """The message; if it is the template engine's, which is about our playbooks, what a user can do instead."""
    if TEMPLATE_TEXT.search(message) is None:
        return message
    where = f"task {task!r}" if task else "the play"
    return (
        f"{where} cannot use a variable that is missing or has another form than it needs: check the inventory, its "
        "device files, and variables given with -e"
    )


def failure_text(result: object) -> str:
    """The message of a failed task's result, without the JSON around it."""
    if not isinstance(result, Mapping):
        return str(result) if result else "the task failed without a message"
    details = [item for item in result.get("results") or [] if isinstance(item, Mapping) and item.get("failed")]
    if details and str(result.get("msg", "")).startswith("One or more items failed"):
        return failure_text(details[0])
    # A file that cannot be included has a reason.
    message = str(result.get("msg") or result.get("reason") or "").strip()
    # The fields decide, as each version of Ansible words the message differently: for a module that died,
    # `module_stderr` gives the cause; for a command that failed, which has `cmd` and `rc`, `stderr` does.
    cause = str(result.get("module_stderr") or "").strip()
    if not cause and (not message or ("cmd" in result and result.get("rc"))):
        cause = str(result.get("stderr") or "").strip()
    if cause:
        message = f"{message.removesuffix('.')}: {cause.splitlines()[-1]}" if message else cause.splitlines()[-1]
    return message or "the task failed without a message"


def _journal_events(result: object) -> list[Mapping[str, Any]]:
    if not isinstance(result, Mapping):
        return []
    items = result.get("fedsim_news")
    if not isinstance(items, list):
        return []
    events = [item for item in items if isinstance(item, Mapping) and "event" in item]
    # The agent reads the participants' logs one after another; the order of the entries is by time. The sort is stable
    # where times are missing.
    return sorted(events, key=lambda item: item["t"] if isinstance(item.get("t"), int | float) else 0.0)
