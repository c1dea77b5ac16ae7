"""A reference step is timed while a participant waits for the gate."""

from __future__ import annotations

import types
from pathlib import Path

import pytest

from fedsim_runner.compute.references import REFERENCES
from fedsim_runner.contract.records import format_gate
from fedsim_runner.participant import reference_timing
from fedsim_runner.participant.gate import wait_for_gate
from fedsim_runner.participant.light import reference_step
from fedsim_runner.participant.reference_timing import LEAD_S, PROGRAMS, WARM_UP, prepare_reference


class Clock:
    """Ten milliseconds for each part, or as many as it is given, and the waits in parts."""

    def __init__(self) -> None:
        self.now = 100.0
        self.parts = 0
        self.part_s = 0.01
        self.waits_s: list[float] = []

    def __call__(self) -> float:
        return self.now

    def part(self) -> None:
        self.parts += 1
        self.now += self.part_s + (self.waits_s.pop(0) if self.waits_s else 0.0)

    def cpu_s(self) -> float:
        """Each part takes a millisecond of the process."""
        return 0.001 * self.parts


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    program = types.SimpleNamespace(make_part=lambda: made.part)
    monkeypatch.setattr(reference_timing.importlib, "import_module", lambda _: program)
    return made


def test_a_step_is_computed_from_its_parts(clock: Clock) -> None:
    timer = prepare_reference("numpy-mlp", 100, clock, clock.cpu_s)
    assert timer is not None and clock.parts == WARM_UP
    found = timer(102.0)
    assert found is not None
    assert (found.step_s, found.cpu_s) == (pytest.approx(1.0), pytest.approx(0.1))
    assert found.timed_s == pytest.approx(0.01 * (clock.parts - WARM_UP - 1))
    assert 102.0 - LEAD_S - 0.02 < clock.now <= 102.0 - LEAD_S


def test_parts_that_take_long_do_not_delay_the_gate(clock: Clock) -> None:
    timer = prepare_reference("mobilenetv3-small", 70.5, clock)
    assert timer is not None
    clock.now, clock.part_s = 100.0, 0.5
    found = timer(102.5)
    assert found is not None
    assert (found.step_s, found.timed_s) == (pytest.approx(0.5 * 70.5), pytest.approx(1.5))
    assert clock.now == 102.0


def test_parts_count_from_the_end_of_one_wait_to_that_of_another(clock: Clock) -> None:
    timer = prepare_reference("numpy-mlp", 100, clock, clock.cpu_s)
    assert timer is not None
    # Bursts of seven parts, in the last of which the device waits; the first burst has less to do.
    clock.now, clock.part_s, clock.waits_s = 100.0, 0.001, [0.0, 0.4] + ([0.0] * 6 + [0.4]) * 10
    found = timer(102.5)
    assert found is not None
    assert (found.step_s, found.cpu_s) == (pytest.approx(100 * 0.407 / 7), pytest.approx(0.1))
    assert found.timed_s == pytest.approx(4 * 0.407)


def test_parts_between_two_chance_waits_do_not_stand_for_all(clock: Clock) -> None:
    timer = prepare_reference("numpy-mlp", 100, clock)
    assert timer is not None
    clock.now, clock.part_s, clock.waits_s = 100.0, 0.001, [0.0] * 400 + [0.05, 0.0, 0.0, 0.05]
    found = timer(102.5)
    assert found is not None
    assert found.timed_s == pytest.approx(102.5 - LEAD_S - 100.0, abs=0.06)
    assert found.step_s == pytest.approx(0.1, rel=0.06)


def test_a_gate_that_is_open_leaves_no_time(clock: Clock) -> None:
    timer = prepare_reference("numpy-mlp", 100, clock)
    assert timer is not None and timer(clock.now + LEAD_S) is None
    assert clock.parts == WARM_UP
    assert prepare_reference("another", 1, clock) is None


def test_each_reference_has_a_program_that_devices_find() -> None:
    for name, facts in REFERENCES.items():
        assert PROGRAMS[name] == f"fedsim_runner.{facts.program.removesuffix('.py').replace('/', '.')}"


def test_who_waits_learns_when_the_gate_opens(tmp_path: Path) -> None:
    (tmp_path / "open").write_text(format_gate(5.0), encoding="utf-8")
    seen: list[float] = []
    wait_for_gate(tmp_path, seen.append)
    assert seen == [5.0]


def test_the_parts_are_those_of_the_step() -> None:
    part = reference_step.make_part()
    part()
    reference_step.make_step(1)()
    assert REFERENCES["numpy-mlp"].parts == reference_step.STEPS
