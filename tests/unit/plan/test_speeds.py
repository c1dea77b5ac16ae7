"""Devices as fast as their types say, whatever the lab host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from fedsim_runner.compute.calibration import Calibration, Timing
from fedsim_runner.lab.host import LabHost
from fedsim_runner.plan.model import Plan
from fedsim_runner.plan.placement import make_plan
from fedsim_runner.plan.placement_error import PlacementError
from fedsim_runner.plan.plan_data import plan_as_dict
from fedsim_runner.spec.load import parse_draft

HEAD = """
name: speeds
seed: 7
devices:
  - {name: server, type: iot-minimal, role: server, lab_host: slow}
"""
TAIL = """
device_types:
  board: {based_on: raspberry-pi, arch: amd64, compute: {reference: numpy-mlp, seconds: 2, source: measured}}
  snail: {based_on: board, compute: {like: board, speed: 0.00001}}
  with-npu: {based_on: board, compute: {like: board, speed: 10, accelerator: its NPU}}
  in-torch: {based_on: board, compute: {reference: mobilenetv3-small, seconds: 2, source: measured}}
data: {dataset: digits}
federatedscope:
  config:
    federate: {total_round_num: 1}
    model: {type: lr, out_channels: 10, task: classification}
"""


def host(name: str, seconds: float, spread: float = 0.01) -> LabHost:
    timings = (Timing(1, 0.25, 4 * seconds, seconds, spread, 5), Timing(1, None, seconds, seconds, spread, 5))
    found = Calibration(name, "numpy-mlp", "fedsim/engine-light:1", "2026-01-01T00:00:00Z", timings)
    return LabHost(name, 4, 2**36, "amd64", processor=name, calibrations={"numpy-mlp": found})


SLOW, FAST = host("slow", 0.4), host("fast", 0.1)


def plan(devices: str, hosts: Sequence[LabHost] = (SLOW, FAST), more: str = "", tail: str = TAIL) -> Plan:
    experiment = parse_draft(HEAD + devices + tail + more, Path("speeds.yaml")).finish()
    return make_plan(experiment, hosts, "speeds")


def test_two_hosts_of_different_speed_give_the_same_device() -> None:
    made = plan("  - {name: a, type: board, lab_host: slow}\n  - {name: b, type: board, lab_host: fast}\n")
    by_name = {item.device.name: item for item in made.placed}
    assert (by_name["a"].cpus, by_name["b"].cpus) == (0.2, 0.05)
    assert by_name["a"].speed == by_name["b"].speed
    assert by_name["a"].threads == 1
    assert (made.cpu_factor, by_name["server"].cpus, by_name["server"].speed) == (1.0, 1.0, None)
    assert any(note.startswith("server: nominal") for note in made.notes)
    data = {device["name"]: device for device in plan_as_dict(made)["devices"]}
    assert data["a"]["compute"]["seconds"] == 2
    assert "compute" not in data["server"]


@pytest.mark.parametrize(("placement", "fast"), [("spread", 16), ("pack", 20)])
def test_a_faster_host_carries_more_of_the_devices_and_is_as_full(placement: str, fast: int) -> None:
    """Twenty boards take 0.2 cpus each of the slow one, and 0.05 of the fast one."""
    devices = "  - {name: board, type: board, count: 20}\n"
    server = HEAD.replace("lab_host: slow", "lab_host: fast")
    experiment = parse_draft(server + devices + TAIL + f"placement: {placement}\n", Path("speeds.yaml")).finish()
    made = make_plan(experiment, (replace(SLOW, cpus=3), FAST), "speeds")
    assert sum(item.lab_host == "fast" for item in made.placed if item.device.role == "client") == fast
    assert made.cpu_factor == 1


def test_the_cpu_factor_slows_calibrated_devices_as_it_slows_others() -> None:
    made = plan("  - {name: a, type: board, lab_host: slow}\n", more="cpu_factor: 0.5\n")
    assert {item.device.name: item.cpus for item in made.placed} == {"server": 0.5, "a": 0.1}


def test_a_reference_that_nobody_measured_is_refused_with_the_command() -> None:
    bare = replace(FAST, calibrations={})
    with pytest.raises(
        PlacementError, match=r"^speeds\.yaml:6: a: reference numpy-mlp was not measured on lab host fast \(fast\)"
    ) as it:
        plan("  - {name: a, type: board, lab_host: fast}\n", (SLOW, bare))
    assert "`fedsim-provision calibrate --engine light`" in str(it.value)


def test_devices_that_no_quota_makes_are_named_and_who_takes_most() -> None:
    with pytest.raises(
        PlacementError,
        match=r"^speeds\.yaml:6: device a \(snail\) would get .*: this lab cannot emulate so slow",
    ):
        plan("  - {name: a, type: snail}\n")
    with pytest.raises(
        PlacementError,
        match=r"^speeds\.yaml:\d+: device a .* ask for 4\.2 cpus \(rocket of type with-npu for 3\) and the lab has 8",
    ):
        plan(
            "  - {name: rocket, type: with-npu, overrides: {cpus: 3}}\n  - {name: a, type: board}\n",
            more="cpu_factor: 0.0001\n",
        )


def test_a_device_that_is_too_fast_for_any_factor_is_refused() -> None:
    with pytest.raises(PlacementError, match=r"^speeds\.yaml:5: .* would get 0 cpus, .*rocket .* the lab has 8"):
        plan("  - {name: rocket, type: with-npu}\n", tail=TAIL.replace("speed: 10,", "speed: 1000000,"))


def test_where_nothing_is_limited_types_are_nominal() -> None:
    made = plan("  - {name: a, type: board}\n", (replace(SLOW, calibrations=None),))
    assert {item.speed for item in made.placed} == {None}
    assert not any("nominal" in note for note in made.notes)


def test_accelerators_and_derived_figures_are_noted() -> None:
    made = plan("  - {name: a, type: with-npu}\n  - {name: b, type: in-torch}\n")
    assert "a: its NPU is emulated in time, not in arithmetic" in made.notes
    assert any(
        note.startswith("b: times of numpy-mlp are derived from those of mobilenetv3-small") for note in made.notes
    )


def test_no_gpu_of_the_lab_host_is_given_to_devices_that_are_as_fast_as_their_types_say() -> None:
    devices = (
        "  - {name: a, type: with-npu, overrides: {gpus: 1}}\n  - {name: b, type: iot-minimal, overrides: {gpus: 1}}\n"
    )
    made = plan(devices, (replace(SLOW, gpu_ids=("0",)),))
    assert {item.device.name: item.gpu_ids for item in made.placed} == {"server": (), "a": (), "b": ("0",)}
    assert not any("has no GPU" in note for note in made.notes)


def test_a_calibration_that_is_not_sure_is_noted() -> None:
    made = plan("  - {name: a, type: board, lab_host: slow}\n", (host("slow", 0.4, spread=0.2),))
    (note,) = [note for note in made.notes if "lab host slow: a step of numpy-mlp was measured to ±20%" in note]
    assert "`fedsim-provision calibrate --engine light --again`" in note


def test_a_calibration_of_an_earlier_version_is_noted_with_the_command() -> None:
    (note,) = [
        note for note in plan("  - {name: a, type: board, lab_host: fast}\n").notes if "of an earlier version" in note
    ]
    assert note.startswith("lab host fast: its calibration with numpy-mlp is")
    assert "`fedsim-provision calibrate --engine light` measures it again" in note
