"""Which devices time parts of their reference step before the gate opens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.compute.calibration import Calibration, Timing
from fedsim_runner.compute.references import REFERENCES
from fedsim_runner.contract.reference_windows import whole_s
from fedsim_runner.inventory import build_inventory
from fedsim_runner.lab.host import LabHost
from fedsim_runner.plan.model import Plan
from fedsim_runner.plan.placement import make_plan
from fedsim_runner.plan.timed_steps import LEAST_S, LONGEST_S
from fedsim_runner.spec.load import parse_draft

TEXT = """
name: timed
seed: 7
devices:
  - {name: server, type: iot-minimal, role: server}
  - {name: a, type: board, engine: ENGINE}
device_types:
  board:
    based_on: raspberry-pi
    arch: amd64
    memory_mb: MEMORY
    compute: {reference: REFERENCE, seconds: SECONDS, source: measured}
data: {dataset: digits}
federatedscope:
  config:
    federate: {total_round_num: 1}
    model: {type: lr, out_channels: 10, task: classification}
"""
LIGHT, TORCH = ("light", "numpy-mlp"), ("federatedscope", "mobilenetv3-small")


def host(engine: tuple[str, str], part_cpu_s: float | None, version: int) -> LabHost:
    timings = (
        Timing(1, 0.25, 1.2, 0.3, 0.01, 5, part_cpu_s),
        Timing(1, 0.1, 3.0, 0.3, 0.01, 5, part_cpu_s),
        Timing(1, None, 0.3, 0.3, 0.01, 5),
        Timing(2, None, 0.15, 0.3, 0.01, 5),
    )
    found = Calibration("a processor", engine[1], "fedsim/engine:1", "2026-01-01T00:00:00Z", timings, version)
    return LabHost("here", 4, 2**36, "amd64", processor="a processor", calibrations={engine[1]: found})


def plan(
    engine: tuple[str, str],
    seconds: float,
    memory_mb: int = 4096,
    part_cpu_s: float | None = 0.003,
    version: int | None = None,
) -> Plan:
    text = TEXT
    version = REFERENCES[engine[1]].version if version is None else version
    for key, value in zip(("ENGINE", "REFERENCE", "SECONDS", "MEMORY"), (*engine, seconds, memory_mb), strict=True):
        text = text.replace(key, str(value))
    return make_plan(parse_draft(text, Path("timed.yaml")).finish(), [host(engine, part_cpu_s, version)], "timed")


def timed_parts(made: Plan) -> tuple[float | None, float]:
    """Of the device, and how long before the gate opens it begins to time them."""
    (device_file,) = build_inventory(made).device_files.values()
    compute = device_file.devices[1].compute
    return None if compute is None else compute.parts, device_file.timing_s


def notes(made: Plan) -> Sequence[str]:
    return [note for note in made.notes if "judged by the steps of the course alone" in note]


@pytest.mark.parametrize(("engine", "parts"), [(LIGHT, 100), (TORCH, 100.0)])
def test_devices_of_both_engines_time_parts(engine: tuple[str, str], parts: float) -> None:
    made = plan(engine, 3.0)
    (device_file,) = build_inventory(made).device_files.values()
    assert timed_parts(made) == (parts, whole_s(LEAST_S))
    compute = device_file.devices[1].compute
    # One device's limit is corrected alone only by parts that are those of the step, as the light engine's are.
    assert compute is not None and compute.corrects and compute.together == (engine == TORCH)
    assert not notes(made)


@pytest.mark.parametrize(
    ("seconds", "timed_s"),
    [
        (3.0, LEAST_S),  # 0.1 cpus, in periods of 20 ms
        (50.0, 3.3),  # 0.006 cpus: 1 ms in 167 ms
        (150.0, LONGEST_S),  # 0.002 cpus: 1 ms in 500 ms
    ],
)
def test_devices_with_small_limits_have_more_time(seconds: float, timed_s: float) -> None:
    made = plan(LIGHT, seconds)
    assert timed_parts(made) == (100, pytest.approx(whole_s(timed_s)))
    assert not notes(made)


@pytest.mark.parametrize(
    ("seconds", "timed_s"),
    [
        (20.0, LEAST_S),  # five parts take 1.7 s
        (36.0, 3.0),
        (90.0, 7.5),
    ],
)
def test_devices_that_do_few_parts_have_more_time(seconds: float, timed_s: float) -> None:
    made = plan(TORCH, seconds, part_cpu_s=0.005)
    assert timed_parts(made) == (60, pytest.approx(whole_s(timed_s)))
    assert not notes(made)


@pytest.mark.parametrize(
    ("engine", "options", "why"),
    [
        (TORCH, {"seconds": 3.0, "memory_mb": 192}, "MB of memory with their engine, more than they have"),
        (TORCH, {"seconds": 0.2}, "is compared with its parts with one thread only, and they have several"),
        (TORCH, {"seconds": 200.0}, "takes too long: not 5 parts of it fit into 8 s"),
        (LIGHT, {"seconds": 200.0}, "takes too long: not 5 parts of it fit into 8 s"),
    ],
)
def test_devices_that_cannot_are_named_and_courses_without_others_begin_at_once(
    engine: tuple[str, str], options: dict[str, float], why: str
) -> None:
    made = plan(engine, **options)  # type: ignore[arg-type]
    assert timed_parts(made) == (None, 0.0)
    (note,) = notes(made)
    assert note.startswith(f"a: judged by the steps of the course alone, as timing {engine[1]} before it ")
    assert note.endswith(why)


@pytest.mark.parametrize("options", [{"part_cpu_s": None}, {"version": 1}])
def test_a_lab_host_that_was_calibrated_without_these_parts_is_named_instead(options: dict[str, Any]) -> None:
    made = plan(TORCH, 3.0, **options)
    assert timed_parts(made) == (None, 0.0)
    assert not notes(made)
    (note,) = [note for note in made.notes if "of an earlier version" in note]
    assert "`fedsim-provision calibrate --engine federatedscope` measures it again" in note
