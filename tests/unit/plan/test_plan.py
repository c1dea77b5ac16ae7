"""Placement: deterministic, one common factor, addresses, errors with a hint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fedsim_runner.plan.addresses import choose_subnet
from fedsim_runner.plan.model import Plan
from fedsim_runner.plan.placement import make_plan
from fedsim_runner.plan.placement_error import PlacementError
from fedsim_runner.plan.plan_data import plan_as_dict
from tests.builders import device_type, experiment, lab_host


def cpus(plan: Plan) -> dict[str, float]:
    return {item.device.name: item.cpus for item in plan.placed}


def test_devices_that_fit_get_their_nominal_cpus() -> None:
    plan = make_plan(experiment(clients=1), [lab_host(cpus=8)], "study")
    assert plan.cpu_factor == 1
    assert cpus(plan) == {"server": 4, "phone-1": 2}
    assert plan.notes == ()


def test_one_factor_for_the_whole_lab_keeps_ratios_and_is_noted() -> None:
    plan = make_plan(experiment(clients=6), [lab_host("a", cpus=2), lab_host("b", cpus=8)], "study")
    assert plan.cpu_factor < 1
    assert {item.cpus / item.device.type.cpus for item in plan.placed} == {plan.cpu_factor}
    for host in plan.lab_hosts:
        assert sum(item.cpus for item in plan.placed if item.lab_host == host.name) <= host.cpus
    assert f"cpu_factor: {plan.cpu_factor:g}" in plan.notes[0]


def test_the_users_factor_wins() -> None:
    plan = make_plan(replace(experiment(clients=1), cpu_factor=0.25), [lab_host(cpus=64)], "study")
    assert cpus(plan) == {"server": 1, "phone-1": 0.5}


def test_the_plan_does_not_depend_on_the_order_of_hosts() -> None:
    hosts = [lab_host("a"), lab_host("b"), lab_host("c")]
    assert make_plan(experiment(9), hosts, "r") == make_plan(experiment(9), hosts[::-1], "r")


def test_devices_spread_over_lab_hosts() -> None:
    plan = make_plan(experiment(clients=8), [lab_host("a", cpus=16), lab_host("b", cpus=16)], "study")
    assert {item.lab_host for item in plan.placed} == {"a", "b"}


def test_addresses_are_given_to_the_server_first_then_to_clients_in_order() -> None:
    plan = make_plan(experiment(clients=2), [lab_host()], "study")
    assert plan.subnet == "198.18.0.0/24"
    assert [(item.device.name, item.index, item.address) for item in plan.placed] == [
        ("server", 0, "198.18.0.1"),
        ("phone-1", 1, "198.18.0.2"),
        ("phone-2", 2, "198.18.0.3"),
    ]


@pytest.mark.parametrize(("devices", "prefix"), [(1, 24), (254, 24), (255, 23), (2000, 21)])
def test_the_subnet_holds_all_devices(devices: int, prefix: int) -> None:
    subnet = choose_subnet(devices)
    assert subnet.prefixlen == prefix
    assert len(list(subnet.hosts())) >= devices


def test_more_devices_than_addresses_of_the_subnet_that_is_set_aside_for_testing_are_rejected() -> None:
    assert str(choose_subnet(131_070)) == "198.18.0.0/15"
    with pytest.raises(PlacementError, match=r"131071 devices do not fit into 198\.18\.0\.0/15: use fewer"):
        choose_subnet(131_071)


def test_cpus_below_the_engines_minimum_are_rejected_with_the_devices_name() -> None:
    with pytest.raises(PlacementError, match=r"phone-1 \(phone\) would get 0\.0009\d* cpus, below the 0\.001"):
        make_plan(replace(experiment(), cpu_factor=0.00049), [lab_host()], "study")


def test_cpus_too_small_for_a_usual_period_are_noted() -> None:
    plan = make_plan(replace(experiment(2), cpu_factor=0.0025), [lab_host()], "study")
    assert cpus(plan) == {"server": 0.01, "phone-1": 0.005, "phone-2": 0.005}
    notes = [note for note in plan.notes if "in bursts" in note]
    assert len(notes) == 1
    assert notes[0].startswith("phone-1, phone-2: ")
    assert "at 0.005 cpus it gets 1 ms every 200 ms" in notes[0]


def test_a_factor_that_gives_a_device_more_cpus_than_its_host_has_is_rejected() -> None:
    with pytest.raises(PlacementError, match="smaller cpu_factor"):
        make_plan(replace(experiment(1), cpu_factor=1.0), [lab_host(cpus=2)], "study")


@pytest.mark.parametrize("factor", [1.0, 0.0002])
def test_a_factor_that_does_not_fit_is_named_with_its_line(factor: float) -> None:
    source = f"name: study\ncpu_factor: {factor}\n"
    given = replace(experiment(1), cpu_factor=factor, source=source, path=Path("exp.yaml"))
    with pytest.raises(PlacementError, match=r"^exp\.yaml:2: device "):
        make_plan(given, [lab_host(cpus=2)], "study")


def test_no_lab_hosts() -> None:
    with pytest.raises(PlacementError, match="no lab hosts"):
        make_plan(experiment(), [], "study")


def test_what_the_lab_lacks_is_noted() -> None:
    client = device_type("board", arch="arm64", gpus=1, memory_mb=64 * 1024)
    notes = "\n".join(make_plan(experiment(2, client=client), [lab_host(cpus=64)], "study").notes)
    assert "over-committed" in notes
    assert "no GPU for phone-1, phone-2" in notes
    assert "arm64 is not emulated" in notes


def test_gpus_go_to_devices_while_there_are_any() -> None:
    client = device_type("box", gpus=1)
    plan = make_plan(experiment(2, client=client), [lab_host(cpus=64, gpu_ids=("0",))], "study")
    assert [item.gpus for item in plan.placed] == [0, 1, 0]


def test_the_plan_as_data_has_every_device() -> None:
    data = plan_as_dict(make_plan(experiment(2), [lab_host()], "study"))
    assert [device["name"] for device in data["devices"]] == ["server", "phone-1", "phone-2"]
    assert data["devices"][0]["link"]["up"] == {"rate_bps": 10_000_000, "delay_us": 5000, "jitter_us": 0, "loss": 0.0}


def test_a_device_that_is_too_small_for_its_engine_is_noted() -> None:
    spec = experiment(clients=2)
    small = replace(spec.devices[1], type=device_type("watch", memory_mb=32))
    plan = make_plan(replace(spec, devices=(spec.devices[0], small, *spec.devices[2:])), [lab_host(cpus=64)], "r1")
    assert plan.notes == (f"{small.name}: less memory than the 48.0 MB that engine light needs for a small model",)
