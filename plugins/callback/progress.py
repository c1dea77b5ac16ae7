"""Ansible's ordinary output, with a course's events as they happen."""

from __future__ import annotations

DOCUMENTATION = r"""
name: progress
type: stdout
short_description: Ansible's ordinary output, with a course's events as they happen
description:
  - Like P(ansible.builtin.default#callback), except that following a course prints what happens in it, one line
    for each round, instead of a failed attempt for each poll.
  - Makes no difference for playbooks without a course, or where the Python that runs Ansible has no fedsim-runner.
author: fedsim-runner (@fedsim-runner)
extends_documentation_fragment:
  - default_callback
  - result_format_callback
requirements:
  - C(stdout_callback = fedsim.testbed.progress) in ansible.cfg
"""

import io
from collections.abc import Mapping
from typing import Any

from ansible.plugins.callback.default import CallbackModule as DefaultCallback


class CallbackModule(DefaultCallback):
    """Show C(fedsim_news) and C(fedsim_snapshot) of task results."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "fedsim.testbed.progress"

    def __init__(self) -> None:
        super().__init__()
        self._renderer = EventRenderer()

    def v2_runner_retry(self, result: Any) -> None:
        if not self._show(result):
            super().v2_runner_retry(result)

    def v2_runner_on_ok(self, result: Any) -> None:
        self._show(result)
        super().v2_runner_on_ok(result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._show(result)
        super().v2_runner_on_failed(result, ignore_errors)

    def _show(self, result: Any) -> bool:
        """Print the events that a result carries; return whether it could carry any."""
        values = read_content(result)
        if not isinstance(values.get("fedsim_news"), list):
            return False
        try:
            lines = self._renderer.lines(values)
        except ImportError:
            return False
        for line in lines:
            self._display.display(line)
        return True


class EventRenderer:
    """Turns task results into the lines that fedsim-provision prints."""

    def __init__(self) -> None:
        self._text = io.StringIO()
        self._progress: Any = None

    def lines(self, result: Mapping[str, Any]) -> list[str]:
        """Return the lines for the events in a result.

        Raises:
            ImportError: fedsim-runner is not installed here.
        """
        if self._progress is None:
            # Imported only here, as most playbooks have no use for it.
            from fedsim_runner.console.progress import Progress
            from fedsim_runner.console.safe_console import SafeConsole

            self._progress = Progress(SafeConsole(file=self._text, force_terminal=False, width=200), total_rounds=0)
        if isinstance(result.get("fedsim_snapshot"), Mapping):
            self._progress.snapshot(result["fedsim_snapshot"])  # it has the number of rounds
        for item in result["fedsim_news"]:
            if isinstance(item, Mapping):
                self._progress.event(item)
        lines = self._text.getvalue().splitlines()
        self._text.seek(0)
        self._text.truncate()
        return lines


def read_content(result: Any) -> Mapping[str, Any]:
    """Return a task's result in any version of Ansible; 2.19 warns about the older attribute."""
    content = getattr(result, "result", None)
    return content if isinstance(content, Mapping) else result._result
