"""Ansible's ordinary output, with the news of a course as they come."""

from __future__ import annotations

DOCUMENTATION = r"""
name: progress
type: stdout
short_description: Ansible's ordinary output, with the news of a course as they come
description:
  - Like P(ansible.builtin.default#callback), except that a course that is followed shows what happens in it, a line for
    each round, instead of a failed try for each look.
  - Changes nothing in playbooks without a course, or where the Python that runs Ansible has no fedsim-runner.
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
    """Shows C(fedsim_news) and C(fedsim_snapshot) of results."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "fedsim.testbed.progress"

    def __init__(self) -> None:
        super().__init__()
        self._news = News()

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
        """Whether the result was a look at a course, or brought news of another kind."""
        values = content_of(result)
        if not isinstance(values.get("fedsim_news"), list):
            return False
        try:
            lines = self._news.lines(values)
        except ImportError:
            return False
        for line in lines:
            self._display.display(line)
        return True


class News:
    """From the results of tasks to lines for people, in the words of fedsim-provision."""

    def __init__(self) -> None:
        self._text = io.StringIO()
        self._progress: Any = None

    def lines(self, result: Mapping[str, Any]) -> list[str]:
        """The lines of what is new in a result.

        Raises:
            ImportError: there is no fedsim-runner here.
        """
        if self._progress is None:
            # Only here, for most playbooks have no use for it.
            from rich.console import Console

            from fedsim_runner.console.progress import Progress

            self._progress = Progress(Console(file=self._text, force_terminal=False, width=200), total_rounds=0)
        if isinstance(result.get("fedsim_snapshot"), Mapping):
            self._progress.snapshot(result["fedsim_snapshot"])  # it knows how many rounds there are
        for item in result["fedsim_news"]:
            if isinstance(item, Mapping):
                self._progress.event(item)
        shown = self._text.getvalue().splitlines()
        self._text.seek(0)
        self._text.truncate()
        return shown


def content_of(result: Any) -> Mapping[str, Any]:
    """A task's result as Ansible's versions hand it over; 2.19 has made the old name a warning."""
    found = getattr(result, "result", None)
    return found if isinstance(found, Mapping) else result._result
