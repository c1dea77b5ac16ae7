"""A reference step is timed while a participant waits for the gate."""

from __future__ import annotations

import types
from pathlib import Path

import pytest

from fedsim_runner.contract.records import format_gate
from fedsim_runner.participant import reference_timing
from fedsim_runner.participant.gate import wait_for_gate
from fedsim_runner.participant.light import reference_step
from fedsim_runner.participant.reference_timing import LEAD_S, WARM_UP, time_reference


class Clock:
    """Ten milliseconds for each part."""

    def __init__(self) -> None:
        self.now = 100.0
        self.parts = 0

    def __call__(self) -> float:
        return self.now

    def part(self) -> None:
        self.parts += 1
        self.now += 0.01


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    program = types.SimpleNamespace(STEPS=100, make_part=lambda: made.part)
    monkeypatch.setattr(reference_timing.importlib, "import_module", lambda _: program)
    return made


def test_a_step_is_computed_from_its_parts(clock: Clock) -> None:
    found = time_reference("numpy-mlp", 102.0, clock)
    assert found is not None
    assert found.step_s == pytest.approx(1.0)
    assert found.timed_s == pytest.approx(0.01 * (clock.parts - WARM_UP))
    assert 102.0 - LEAD_S <= clock.now < 102.0 - LEAD_S + 0.02


def test_a_gate_that_is_open_leaves_no_time(clock: Clock) -> None:
    assert time_reference("numpy-mlp", 100.0 + LEAD_S, clock) is None
    assert time_reference("another", 200.0, clock) is None
    assert clock.parts == 0


def test_who_waits_learns_when_the_gate_opens(tmp_path: Path) -> None:
    (tmp_path / "open").write_text(format_gate(5.0), encoding="utf-8")
    seen: list[float] = []
    wait_for_gate(tmp_path, seen.append)
    assert seen == [5.0]


def test_the_parts_are_those_of_the_step() -> None:
    part = reference_step.make_part()
    part()
    reference_step.make_step(1)()
