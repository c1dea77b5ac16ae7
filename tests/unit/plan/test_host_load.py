"""What the devices of a lab host take of it: the estimate, and what is refused before anything is made."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedsim_runner.catalog.engines import engine_facts
from fedsim_runner.contract.errors import Exit
from fedsim_runner.lab.host import DeviceOverhead, LabHost
from fedsim_runner.plan.host_load import RESERVED_MEMORY_BYTES, describe_load
from fedsim_runner.plan.placement import make_plan
from fedsim_runner.plan.placement_error import PlacementError
from fedsim_runner.plan.plan_data import plan_as_dict
from fedsim_runner.testbed.docker.container_overhead import CONTAINER_OVERHEAD
from tests.builders import MB, device_type, experiment, lab_host

LIGHT = engine_facts("light")


def lab(memory_mb: int, cpus: float = 2, **changes: object) -> LabHost:
    return lab_host(cpus=cpus, memory_gb=memory_mb / 1024, overhead=CONTAINER_OVERHEAD, **changes)


def test_seven_hundred_light_devices_fit_on_24_gb() -> None:
    plan = make_plan(experiment(700), [lab(int(23.5 * 1024))], "study")
    (load,) = plan.loads
    assert load.devices == 701
    assert load.memory_bytes == 701 * (LIGHT.resident_bytes + CONTAINER_OVERHEAD.memory_bytes)
    assert any("nothing else that is large may run there" in note for note in plan.notes)


def test_what_memory_does_not_hold_is_refused_before_anything_is_made() -> None:
    each = LIGHT.resident_bytes + CONTAINER_OVERHEAD.memory_bytes
    exactly = (101 * each + RESERVED_MEMORY_BYTES) / MB
    make_plan(experiment(100), [lab(int(exactly) + 1)], "study")
    with pytest.raises(
        PlacementError, match=r"101 devices on lab host lab1 need about .* it carries about 100;"
    ) as caught:
        make_plan(experiment(100), [lab(int(exactly) - 1)], "study")
    assert caught.value.exit == Exit.LAB
    with pytest.raises(
        PlacementError, match=r"^1 device on lab host lab1 needs about .* it has 600\.0 MB, of which 600\.0 MB are for"
    ):
        make_plan(experiment(0), [lab(600)], "study")


def test_more_devices_than_a_lab_host_connects_are_refused() -> None:
    make_plan(experiment(100), [lab(30_000, most_devices=101)], "study")
    with pytest.raises(PlacementError, match=r"lab host lab1 would get 101 devices, .* ports for 100 on a lab host:"):
        make_plan(experiment(100), [lab(30_000, most_devices=100)], "study")


def test_engines_that_need_more_count_with_more() -> None:
    spec = experiment(20)
    heavy = replace(spec, devices=tuple(replace(device, engine="federatedscope") for device in spec.devices))
    light, torch = (make_plan(each, [lab(30_000)], "study").loads[0] for each in (spec, heavy))
    facts = engine_facts("federatedscope")
    assert torch.memory_bytes - light.memory_bytes == 21 * (facts.resident_bytes - LIGHT.resident_bytes)
    assert torch.load_s > light.load_s > 0


def test_no_device_takes_more_than_its_limit() -> None:
    tiny = make_plan(experiment(4, client=device_type("watch", memory_mb=10)), [lab(2048)], "study").loads[0]
    assert tiny.memory_bytes == LIGHT.resident_bytes + 4 * 10 * MB + 5 * CONTAINER_OVERHEAD.memory_bytes


def test_the_time_to_start_depends_on_the_cores_until_the_engine_is_the_limit() -> None:
    two, four, many = (make_plan(experiment(99), [lab(30_000, cpus)], "study").loads[0] for cpus in (2, 4, 64))
    assert two.start_s == pytest.approx(100 * CONTAINER_OVERHEAD.start_cpu_s / 2)
    assert many.start_s == pytest.approx(100 * CONTAINER_OVERHEAD.start_s) == pytest.approx(four.start_s, rel=0.5)
    assert two.load_s == pytest.approx(100 * LIGHT.load_cpu_s / 2)


def test_more_processes_than_the_kernel_allows_are_noted_with_the_command_that_helps() -> None:
    def notes(clients: int, tasks: int) -> str:
        return "\n".join(make_plan(experiment(clients), [lab(30_000, tasks=tasks)], "study").notes)

    assert "its kernel allows 4096: `sysctl -w kernel.pid_max=" in notes(300, 4096)
    assert "its kernel allows" not in notes(100, 4096) + notes(300, 32768) + notes(300, 0)


def test_what_others_use_now_is_noted() -> None:
    def notes(free_mb: int) -> str:
        return "\n".join(make_plan(experiment(99), [lab(30_000, memory_free_bytes=free_mb * MB)], "study").notes)

    assert "and only 2.0 GB are free now" in notes(2048)
    assert "free now" not in notes(8192) + notes(0)


def test_every_lab_host_carries_its_own() -> None:
    hosts = [lab(2048), replace(lab(2048), name="lab2")]
    plan = make_plan(experiment(9), hosts, "study")
    assert [(load.lab_host.name, load.devices) for load in plan.loads] == [("lab1", 5), ("lab2", 5)]


def test_the_load_in_words_and_as_data() -> None:
    plan = make_plan(experiment(9), [lab(2048)], "study")
    (load,) = plan.loads
    text = describe_load(load)
    assert text.startswith("Lab host lab1: 10 devices, about ")
    assert f"{load.cpus:.2f} of 2 cpus, {2 - load.cpus:.2f} are left for the testbed" in text
    assert "to start them, then" in text and " 0 s" not in text
    (data,) = plan_as_dict(plan)["expected_loads"]
    assert data == {
        "lab_host": "lab1", "devices": 10, "memory_bytes": load.memory_bytes, "cpus": load.cpus, "tasks": load.tasks,
        "start_s": round(load.start_s, 1), "load_s": round(load.load_s, 1),
    }  # fmt: skip


def test_without_an_overhead_nothing_starts() -> None:
    text = describe_load(make_plan(experiment(1), [lab_host()], "study").loads[0])
    assert LabHost("x").overhead == DeviceOverhead()
    assert "to start them" not in text


def test_one_device_is_no_devices() -> None:
    plan = make_plan(experiment(1), [lab(2048), replace(lab(2048), name="lab2")], "study")
    assert [" 1 device," in describe_load(load) for load in plan.loads] == [True, True]
