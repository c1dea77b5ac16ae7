"""What a course of plain processes takes for work, with participants and a clock that tests move."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any

import pytest

from fedsim_runner.plan.placement import make_plan
from fedsim_runner.testbed.processes import process_course
from fedsim_runner.testbed.processes.children import Participant
from tests.builders import experiment, lab_host
from tests.reported import report_line

PREFIX = "2026-01-02 10:00:00,123 (server:442) INFO: "
SILENCE_S = 20


class FakeProcesses:
    """Participants that have loaded, and of which the server alone uses the processor."""

    clock: list[float]

    def __init__(self, *_: object) -> None:
        self._names: list[str] = []

    def __enter__(self) -> FakeProcesses:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, traceback: TracebackType | None) -> None:
        return None

    def start(self, one: Participant) -> None:
        self._names.append(one.name)
        one.out.mkdir(parents=True)
        report_line(one.out, f"{PREFIX}{one.role.capitalize()}: Listen to 127.0.0.1:50051...", 1.0)

    def exit_code(self, name: str) -> None:
        return None

    def figures(self) -> dict[str, dict[str, Any]]:
        used = {"memory_bytes": 1, "memory_peak_bytes": 1}
        return {name: {"cpu_seconds": self.clock[0] if name == "server" else 1.0, **used} for name in self._names}

    def frozen(self, name: str) -> bool:
        return False

    def kill(self, name: str) -> None:
        return None


@pytest.mark.parametrize(("patches_off", "status"), [((), "timeout"), (("busy_wait",), "silence")])
def test_a_server_that_uses_the_processor_is_not_silent_unless_waiting_looks_like_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patches_off: tuple[str, ...], status: str
) -> None:
    clock = FakeProcesses.clock = [1000.0]
    monkeypatch.setattr(process_course, "Processes", FakeProcesses)
    sleep = lambda seconds: clock.__setitem__(0, clock[0] + 10 * seconds)  # noqa: E731
    fake = SimpleNamespace(monotonic=lambda: clock[0], time=lambda: clock[0], sleep=sleep)
    monkeypatch.setattr(process_course, "time", fake)
    asked = experiment(clients=1)
    limits = replace(asked.course, timeout_s=100, silence_timeout_s=SILENCE_S)
    plan = make_plan(replace(asked, course=limits, patches_off=patches_off), [lab_host()], run="busy")
    participants = [
        Participant(device.name, device.role, "federatedscope", "", tmp_path, tmp_path / device.name)
        for device in asked.devices
    ]
    listener: Any = SimpleNamespace(event=lambda event: None, snapshot=lambda snapshot: None, cancelled=lambda: False)
    course = process_course.Course(plan, participants, {}, tmp_path)
    course.start(listener)
    try:
        course.open()
        outcome = course.follow(listener)
    finally:
        course.end()
    assert outcome is not None and outcome.reason is not None
    wanted = "longer than 100 s" if status == "timeout" else "silent for 2"
    assert wanted in outcome.reason
