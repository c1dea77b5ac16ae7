"""Which device goes to which lab host: spread, packed, pinned, by labels, architecture and GPUs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.lab.host import LabHost, Taken
from fedsim_runner.plan.host_load import RESERVED_MEMORY_BYTES
from fedsim_runner.plan.model import Plan
from fedsim_runner.plan.placement import make_plan
from fedsim_runner.plan.placement_error import PlacementError
from fedsim_runner.spec.experiment import Experiment
from fedsim_runner.spec.load import parse_draft
from tests.builders import device_type, experiment, lab_host


def where(plan: Plan) -> dict[str, str]:
    return {item.device.name: item.lab_host for item in plan.placed}


def changed(study: Experiment, name: str, **changes: Any) -> Experiment:
    """The study with other values of one device."""
    devices = [replace(one, **changes) if one.name == name else one for one in study.devices]
    return replace(study, devices=tuple(devices))


def test_devices_of_a_kind_follow_each_other_on_their_lab_hosts() -> None:
    plan = make_plan(experiment(6, server=device_type("hub", cpus=2)), [lab_host("b"), lab_host("a")], "r")
    hosts = [item.lab_host for item in plan.placed if item.device.role == "client"]
    assert hosts == sorted(hosts)
    assert Counter(where(plan).values()) == {"a": 4, "b": 3} or Counter(where(plan).values()) == {"a": 3, "b": 4}


def test_packing_takes_as_few_lab_hosts_as_have_enough_cpus() -> None:
    study = replace(experiment(4, server=device_type("hub", cpus=2)), placement="pack")
    hosts = [lab_host("a", cpus=4), lab_host("b", cpus=12), lab_host("c", cpus=12)]
    assert set(where(make_plan(study, hosts, "r")).values()) == {"b"}
    more = replace(experiment(9, server=device_type("hub", cpus=2)), placement="pack")
    plan = make_plan(more, hosts, "r")
    assert set(where(plan).values()) == {"b", "c"}
    assert plan.cpu_factor == 1
    assert [host.name for host in plan.lab_hosts] == ["b", "c"]


def test_packing_counts_with_the_users_factor() -> None:
    study = replace(experiment(9), placement="pack", cpu_factor=0.1)
    assert set(where(make_plan(study, [lab_host("a", cpus=4), lab_host("b", cpus=4)], "r")).values()) == {"a"}


def test_what_does_not_fit_is_packed_evenly() -> None:
    study = replace(experiment(8), placement="pack")
    plan = make_plan(study, [lab_host("a", cpus=4), lab_host("b", cpus=4)], "r")
    assert 0.2 < plan.cpu_factor < 1
    assert set(where(plan).values()) == {"a", "b"}


def test_a_pinned_device_is_on_its_lab_host_and_the_others_are_spread_around_it() -> None:
    study = changed(experiment(4), "phone-3", lab_host="b")
    plan = make_plan(study, [lab_host("a"), lab_host("b"), lab_host("c")], "r")
    assert where(plan)["phone-3"] == "b"
    assert plan.cpu_factor == 1


def test_labels_choose_among_lab_hosts() -> None:
    study = changed(experiment(4), "phone-1", lab_labels={"site": "berlin"})
    hosts = [lab_host("a"), lab_host("b", labels={"site": "berlin", "rack": "2"}), lab_host("c", labels={"site": "x"})]
    assert where(make_plan(study, hosts, "r"))["phone-1"] == "b"


TEXT = """\
name: x
devices:
  - {name: server, type: edge-server, role: server}
  - type: iot-minimal
    lab_host: %s
"""


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("lab3", 'x.yaml:5: devices[1].lab_host: there is no lab host "lab3" (did you mean "lab2"?)'),
        ("{site: berlin}", 'x.yaml:5: devices[1].lab_host.site: there is no lab host with site: "berlin" (known: par'),
        ("{sit: paris}", 'there is no lab host with label "sit" (did you mean "site"?)'),
        ("{site: paris, gpu: yes-}", "devices[1].lab_host: no lab host has site: paris and gpu: yes- together"),
    ],
)
def test_what_no_lab_host_is_or_has_is_named_with_its_line(asked: str, message: str, tmp_path: Any) -> None:
    study = parse_draft(TEXT % asked, tmp_path / "x.yaml").finish()
    hosts = [lab_host("lab1", labels={"site": "paris"}), lab_host("lab2", labels={"gpu": "yes-"})]
    with pytest.raises(FedsimError) as refused:
        make_plan(study, hosts, "r")
    assert refused.value.exit == Exit.SPEC
    assert message in str(refused.value)


def test_a_device_goes_to_a_lab_host_of_its_architecture_where_there_is_one() -> None:
    study = experiment(3, client=device_type("board", arch="arm64"))
    hosts = [lab_host("big", cpus=64), lab_host("board", cpus=8, arch="arm64")]
    plan = make_plan(study, hosts, "r")
    assert where(plan) == {"server": "big", "phone-1": "board", "phone-2": "board", "phone-3": "board"}
    assert not any("not emulated" in note for note in plan.notes)


def test_a_device_goes_to_a_lab_host_with_memory_for_it() -> None:
    hosts = [lab_host("small", cpus=64, memory_gb=0.76), lab_host("large", cpus=16)]
    assert set(where(make_plan(experiment(4), hosts, "r")).values()) == {"large"}


def test_gpus_are_given_by_id_and_none_twice() -> None:
    study = experiment(4, client=device_type("box", cpus=1, gpus=1))
    hosts = [lab_host("a", gpu_ids=("0", "1")), lab_host("b", gpu_ids=("GPU-8f", "GPU-9a"))]
    plan = make_plan(study, hosts, "r")
    given_out = [(item.lab_host, gpu) for item in plan.placed for gpu in item.gpu_ids]
    assert sorted(given_out) == [("a", "0"), ("a", "1"), ("b", "GPU-8f"), ("b", "GPU-9a")]


def test_a_gpu_of_another_run_is_not_given_out() -> None:
    study = experiment(2, client=device_type("box", cpus=1, gpus=1))
    taken = Taken("first", "ada", gpu_ids=("1",))
    plan = make_plan(study, [lab_host(gpu_ids=("0", "1"), taken=(taken,))], "r")
    assert [item.gpu_ids for item in plan.placed] == [(), ("0",), ()]
    assert (
        "lab host lab1 has no GPU for phone-2 (run first of user ada holds 1 of its GPUs): it computes on the CPU"
        in plan.notes
    )


def test_memory_that_another_run_holds_is_not_there_and_the_run_is_named() -> None:
    study, memory = experiment(4), 2**30 + RESERVED_MEMORY_BYTES
    host = lab_host(cpus=64, memory_gb=memory / 2**30)
    assert make_plan(study, [host], "r").placed
    taken = Taken("first", "ada", memory_bytes=2**30 - 2**20)
    with pytest.raises(PlacementError, match=r"run first of user ada holds 1023\.0 MB.*wait for the other runs"):
        make_plan(study, [replace(host, taken=(taken,))], "r")


def test_the_factor_counts_with_processors_that_are_free() -> None:
    study, host = experiment(2), lab_host(cpus=10)
    assert make_plan(study, [host], "r").cpu_factor == 1
    beside = make_plan(study, [replace(host, taken=(Taken("first", "ada", cpus=3.0),))], "r")
    assert beside.cpu_factor == pytest.approx(6 / 8)
    assert "lab host lab1: run first of user ada holds 3.00 cpus of its 10: the cpu factor is based on the rest" in (
        beside.notes
    )


def test_a_run_beside_one_that_holds_all_processors_gets_its_share_and_says_so() -> None:
    plan = make_plan(experiment(2), [lab_host(cpus=2, taken=(Taken("first", "", cpus=1.8),))], "r")
    assert sum(item.cpus for item in plan.placed) == pytest.approx(0.9, rel=0.01)
    assert (
        "lab host lab1: run first holds 1.80 cpus of its 2: the cpu factor is based on a share of 0.90, and devices of "
        "the runs may compete" in plan.notes
    )


def test_other_runs_lead_devices_to_emptier_lab_hosts() -> None:
    hosts = [lab_host("a", taken=(Taken("first", cpus=8.0),)), lab_host("b")]
    assert where(make_plan(experiment(1), hosts, "r")) == {"server": "b", "phone-1": "b"}


def test_a_lab_host_that_cannot_be_used_gets_no_device_and_is_named() -> None:
    hosts = [lab_host("a"), lab_host("b", missing="ssh: no route")]
    plan = make_plan(experiment(4), hosts, "r")
    assert set(where(plan).values()) == {"a"}
    assert "lab host b is left out: ssh: no route" in plan.notes
    with pytest.raises(
        PlacementError, match=r"device phone-1 asks for lab host b, which cannot be used: ssh: no route"
    ):
        make_plan(changed(experiment(4), "phone-1", lab_host="b"), hosts, "r")


@st.composite
def labs(draw: st.DrawFn) -> list[LabHost]:
    count = draw(st.integers(1, 6))
    return [
        lab_host(
            f"lab{number}",
            cpus=draw(st.sampled_from([2.0, 8.0, 32.0])),
            arch=draw(st.sampled_from(["amd64", "arm64"])),
            gpu_ids=tuple(map(str, range(draw(st.integers(0, 3))))),
            labels={"site": draw(st.sampled_from(["berlin", "paris"]))},
        )
        for number in range(count)
    ]


@settings(max_examples=60, deadline=None)
@given(
    labs(),
    st.lists(st.tuples(st.sampled_from([0.1, 0.5, 1.0]), st.integers(0, 2), st.booleans()), min_size=1, max_size=20),
    st.sampled_from(["spread", "pack"]),
)
def test_whatever_the_lab_pins_hold_no_gpu_is_given_twice_and_no_lab_host_is_overcommitted(
    hosts: Sequence[LabHost], clients: Sequence[tuple[float, int, bool]], placement: Any
) -> None:
    study = experiment(len(clients))
    server, *others = study.devices
    devices = [
        replace(
            one,
            type=device_type("box", cpus=cpus, gpus=gpus),
            lab_host=hosts[-1].name if pinned else None,
            lab_labels={"site": hosts[0].labels["site"]} if not pinned and gpus else {},
        )
        for one, (cpus, gpus, pinned) in zip(others, clients, strict=True)
    ]
    study = replace(study, devices=(server, *devices), placement=placement)
    plan = make_plan(study, hosts, "r")
    assert plan == make_plan(study, list(hosts)[::-1], "r")
    by_name = {host.name: host for host in hosts}
    for item in plan.placed:
        assert item.device.lab_host in (None, item.lab_host)
        assert item.device.lab_labels.items() <= by_name[item.lab_host].labels.items()
    for name, here in plan.placed_by_host().items():
        given_out = [gpu for item in here for gpu in item.gpu_ids]
        assert len(given_out) == len(set(given_out))
        assert set(given_out) <= set(by_name[name].gpu_ids)
        assert sum(item.cpus for item in here) <= by_name[name].cpus


@pytest.mark.parametrize("placement", ["spread", "pack"])
def test_equal_devices_are_not_scaled_while_the_lab_has_room_for_all(placement: Any) -> None:
    hosts = [lab_host(f"lab{number}", cpus=10) for number in range(4)]
    study = replace(experiment(32, client=device_type("box", cpus=1), server=device_type("hub", cpus=1)))
    assert make_plan(replace(study, placement=placement), hosts, "r").cpu_factor == 1


@pytest.mark.parametrize("placement", ["spread", "pack"])
def test_where_no_lab_host_has_enough_large_ones_are_as_full_as_small_ones(placement: Any) -> None:
    """The emptiest of all plans at one factor has 0.9 of 36 cpus for 101 devices of a cpu each."""
    hosts = [lab_host("large", cpus=32), lab_host("small", cpus=4)]
    study = replace(experiment(100, client=device_type("box", cpus=1), server=device_type("hub", cpus=1)))
    plan = make_plan(replace(study, placement=placement), hosts, "r")
    assert plan.cpu_factor == pytest.approx(0.9 * 36 / 101, rel=0.05)


def test_ten_thousand_devices_on_a_hundred_lab_hosts() -> None:
    hosts = [lab_host(f"lab{number}", cpus=64, memory_gb=256) for number in range(100)]
    plan = make_plan(experiment(10_000, client=device_type("mote", cpus=0.1)), hosts, "r")
    counts = Counter(item.lab_host for item in plan.placed)
    assert len(counts) == 100
    assert max(counts.values()) - min(counts.values()) <= 50
    assert len({item.address for item in plan.placed}) == 10_001
