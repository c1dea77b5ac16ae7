"""A run that is up is planned again: what stands stays, wherever other runs have come or gone since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from fedsim_runner.lab.host import LabHost, Standing, Taken
from fedsim_runner.plan.model import Plan
from fedsim_runner.plan.placement import make_plan
from fedsim_runner.spec.experiment import Experiment
from tests.builders import device_type, experiment, lab_host

OTHER = Taken("first", "ada", cpus=8.0, memory_bytes=2**30, gpu_ids=("0",))


def given(plan: Plan) -> dict[str, tuple[str, float, tuple[str, ...]]]:
    return {item.device.name: (item.lab_host, item.cpus, item.gpu_ids) for item in plan.placed}


def left_by(plan: Plan, hosts: Sequence[LabHost]) -> list[LabHost]:
    """The lab hosts once the plan's devices stand there, and no other run."""

    def standing(host: LabHost) -> Standing:
        there = [item for item in plan.placed if item.lab_host == host.name]
        cpus = {item.device.name: item.cpus for item in there}
        return Standing(plan.cpu_factor, cpus, {item.device.name: item.gpu_ids for item in there})

    return [replace(host, standing=standing(host)) for host in hosts]


def beside(hosts: Sequence[LabHost]) -> list[LabHost]:
    return [replace(hosts[0], taken=(OTHER,)), *hosts[1:]]


STUDY = experiment(5, client=device_type("box", cpus=2, gpus=1))
HOSTS = [lab_host("a", cpus=12, gpu_ids=("0", "1", "2", "3")), lab_host("b", cpus=9, gpu_ids=("0", "1"))]
ONE = [lab_host("a", cpus=20, gpu_ids=("0", "1", "2", "3"))]


@pytest.mark.parametrize("placement", ["spread", "pack"])
def test_devices_keep_lab_host_cpus_and_gpus_when_another_run_has_gone(placement: str) -> None:
    study = replace(STUDY, placement=placement)
    first = make_plan(study, beside(HOSTS), "r")
    assert first.cpu_factor < 1
    assert given(make_plan(study, HOSTS, "r")) != given(first)
    again = make_plan(study, left_by(first, HOSTS), "r")
    assert given(again) == given(first)
    assert any(note.startswith(f"the run is up and keeps its cpu factor {first.cpu_factor:g}") for note in again.notes)


@pytest.mark.parametrize(
    "changed",
    [
        experiment(6, client=device_type("box", cpus=2, gpus=1)),
        experiment(5, client=device_type("box", cpus=3, gpus=1)),
        replace(STUDY, cpu_factor=0.9),
    ],
)
def test_other_devices_get_the_factor_that_fits(changed: Experiment) -> None:
    hosts = left_by(make_plan(STUDY, beside(ONE), "r"), ONE)
    again = make_plan(changed, hosts, "r")
    assert again.cpu_factor == make_plan(changed, ONE, "r").cpu_factor > make_plan(STUDY, hosts, "r").cpu_factor
    assert not any("keeps its cpu factor" in note for note in again.notes)


def test_fewer_devices_are_as_fast_as_they_were() -> None:
    first = make_plan(STUDY, beside(HOSTS), "r")
    fewer = replace(STUDY, devices=STUDY.devices[:-1])
    again = given(make_plan(fewer, left_by(first, HOSTS), "r"))
    assert again == {name: what for name, what in given(first).items() if name in again}


def test_a_device_leaves_a_lab_host_that_it_may_not_use_or_that_is_gone_or_full() -> None:
    first = make_plan(STUDY, HOSTS, "r")
    there = next(name for name, what in given(first).items() if what[0] == "b")
    a, b = left_by(first, HOSTS)
    pinned = replace(STUDY, devices=tuple(replace(device, lab_host="a") for device in STUDY.devices))
    assert given(make_plan(pinned, [a, b], "r"))[there][0] == "a"
    assert given(make_plan(STUDY, [a, replace(b, missing="ssh: no route")], "r"))[there][0] == "a"
    full = Taken("first", "ada", memory_bytes=b.memory_bytes)
    assert given(make_plan(STUDY, [a, replace(b, taken=(full,))], "r"))[there][0] == "a"


def test_a_gpu_that_another_run_has_now_is_given_up() -> None:
    hosts = [HOSTS[0]]
    first = make_plan(STUDY, hosts, "r")
    keeps_zero = next(name for name, what in given(first).items() if what[2] == ("0",))
    (host,) = left_by(first, hosts)
    again = given(make_plan(STUDY, [replace(host, taken=(Taken("later", "ada", gpu_ids=("0",)),))], "r"))
    assert "0" not in again[keeps_zero][2]
    assert len({gpu for _, _, gpus in again.values() for gpu in gpus}) == 3
