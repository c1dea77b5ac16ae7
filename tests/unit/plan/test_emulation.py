"""Devices of another architecture than their lab host's, where their type says emulate: qemu."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedsim_runner.contract.emulation import ASSUMED_SLOWDOWN, Slowdown, without_measured
from fedsim_runner.inventory import build_inventory
from fedsim_runner.lab.host import LabHost
from fedsim_runner.plan.emulation import ANY, EMULATOR_MEMORY_BYTES
from fedsim_runner.plan.model import Plan
from fedsim_runner.plan.placement import make_plan
from fedsim_runner.plan.placement_error import PlacementError
from fedsim_runner.plan.plan_data import plan_as_dict
from tests.builders import device_type, experiment, lab_host

BOARD = replace(device_type("board", arch="arm64"), emulated_by="qemu")
MEASURED = {"arm64": {"light": Slowdown(12.34, 137.0)}}


def plan_on(*hosts: LabHost) -> Plan:
    return make_plan(experiment(2, client=BOARD), hosts, "r")


def emulation_notes(plan: Plan) -> list[str]:
    return [note for note in plan.notes if "arm64" in note]


def test_a_lab_host_of_the_architecture_emulates_nothing() -> None:
    plan = plan_on(lab_host("board", arch="arm64"), lab_host("pc"))
    assert {item.lab_host for item in plan.placed[1:]} == {"board"}
    assert not any(item.emulated for item in plan.placed)
    assert emulation_notes(plan) == []


def test_elsewhere_the_device_has_its_own_architecture_and_the_plan_says_at_what_cost() -> None:
    plan = plan_on(lab_host("pc", emulates=("arm64",), slowdowns=MEASURED))
    assert [item.emulated for item in plan.placed] == [False, True, True]
    assert emulation_notes(plan) == [
        "phone-1, phone-2: arm64 programs under qemu-user on lab host pc, which is amd64: as measured there, Python "
        "code takes 12.3 times as long as natively, and a reference step of engine light, which is array arithmetic, "
        "137 times; links stay in real time"
    ]
    devices = build_inventory(plan).device_files["pc"].devices
    assert [(one.arch, one.emulated) for one in devices] == [("amd64", False), ("arm64", True), ("arm64", True)]
    assert [entry.get("emulated") for entry in plan_as_dict(plan)["devices"]] == [None, "arm64", "arm64"]


def test_until_it_is_measured_the_plan_says_what_measures_it_and_counts_with_an_assumption() -> None:
    plan = plan_on(lab_host("pc"))
    (note,) = emulation_notes(plan)
    assert "is not known yet; `fedsim-provision up` or `run` measures it" in note
    assert without_measured([note, "other"], []) == [note, "other"]
    measured_there = emulation_notes(plan_on(lab_host("pc", slowdowns=MEASURED)))
    assert without_measured([note, "other"], measured_there) == ["other"]
    elsewhere = emulation_notes(plan_on(lab_host("mac", slowdowns=MEASURED)))
    assert without_measured([note, "other"], elsewhere) == [note, "other"]
    server, client, _ = build_inventory(plan).device_files["pc"].devices
    assert client.start_cpu_s == server.start_cpu_s * ASSUMED_SLOWDOWN
    measured = build_inventory(plan_on(lab_host("pc", slowdowns=MEASURED))).device_files["pc"].devices[1]
    assert measured.start_cpu_s == round(server.start_cpu_s * 12.34, 1)


def test_a_kernel_that_does_not_run_such_programs_yet_is_named() -> None:
    (_, note) = emulation_notes(plan_on(lab_host("pc", emulates=())))
    assert note == (
        "lab host pc cannot run arm64 programs yet: the run installs the package qemu-user-static there, which stays"
    )


def test_an_emulator_takes_memory_and_time() -> None:
    native = make_plan(experiment(2, client=replace(BOARD, arch="amd64")), [lab_host("pc")], "r").loads[0]
    emulated = plan_on(lab_host("pc")).loads[0]
    assert emulated.memory_bytes == native.memory_bytes + 2 * EMULATOR_MEMORY_BYTES
    assert emulated.load_s > native.load_s


def test_an_emulated_device_gets_no_gpu() -> None:
    board = replace(BOARD, gpus=1)
    plan = make_plan(experiment(1, client=board), [lab_host("pc", gpu_ids=("0", "1"))], "r")
    assert plan.placed[1].gpu_ids == ()
    assert "phone-1: no GPU, as an emulated program cannot use one" in plan.notes
    assert not any(note.startswith("lab host pc has no GPU") for note in plan.notes)


def test_too_little_memory_for_the_emulator_is_noted() -> None:
    plan = make_plan(experiment(1, client=replace(BOARD, memory_bytes=100 << 20)), [lab_host("pc")], "r")
    assert "phone-1: less memory than the 128.0 MB that engine light needs when emulated" in plan.notes


def test_one_image_is_not_needed_for_two_architectures_on_a_lab_host() -> None:
    study = experiment(2, client=BOARD)
    other = replace(study.devices[-1], type=replace(BOARD, emulated_by=None))
    with pytest.raises(PlacementError, match="have the same image, and one of them is emulated on lab host pc"):
        make_plan(replace(study, devices=(*study.devices[:-1], other)), [lab_host("pc")], "r")


def test_nothing_is_foreign_to_a_lab_host_that_runs_no_images() -> None:
    plan = plan_on(lab_host("here", arch=ANY))
    assert not any(item.emulated for item in plan.placed)
    assert emulation_notes(plan) == []
