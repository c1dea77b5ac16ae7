"""A poll of a course whose lab host does not answer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible_collections.fedsim.testbed.plugins.action import fedsim_course
from ansible_collections.fedsim.testbed.plugins.action.fedsim_course import ActionModule
from ansible_collections.fedsim.testbed.plugins.plugin_utils._worker_action import WorkerAction


class Lab:
    """A lab host that cannot be reached for some calls; each takes 10 s."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, unreachable: int) -> None:
        self.calls, self.now = 0, 0.0
        self.warnings: list[str] = []

        def answer(*_: Any) -> dict[str, Any]:
            self.calls += 1
            self.now += 10.0
            if self.calls <= unreachable:
                raise AnsibleConnectionFailure("timed out")
            return {"finished": False}

        monkeypatch.setattr(WorkerAction, "_run_module", answer)
        monkeypatch.setattr(
            fedsim_course, "time", SimpleNamespace(monotonic=lambda: self.now, sleep=lambda seconds: None)
        )

    def poll(self, **options: Any) -> dict[str, Any]:
        action = ActionModule.__new__(ActionModule)
        action._task = SimpleNamespace(args={"action": "poll", "patience_s": 60, **options})
        action._display = SimpleNamespace(vv=lambda text: None, warning=self.warnings.append)
        return action._run_module(None, {"inventory_hostname": "lab2"})


def test_it_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab(monkeypatch, unreachable=3)
    assert lab.poll() == {"finished": False}
    assert lab.calls == 4
    assert lab.warnings == []


def test_the_play_goes_on_without_it_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab(monkeypatch, unreachable=100)
    answer = lab.poll()
    assert answer["finished"]
    assert answer["outcome"]["status"] == "failed"
    assert answer["outcome"]["reason"] == "lab host lab2 could not be reached for 60 s"
    assert lab.now <= 60.0
    assert "timed out" in lab.warnings[0]


def test_other_calls_fail_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab(monkeypatch, unreachable=100)
    with pytest.raises(AnsibleConnectionFailure):
        lab.poll(action="start")
    assert lab.calls == 1
