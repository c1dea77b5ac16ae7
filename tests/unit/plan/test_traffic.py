"""What messages take of links, of memory and of the time that a course has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from fedsim_runner.catalog.engines import engine_facts
from fedsim_runner.catalog.types import NetworkProfile
from fedsim_runner.contract.link import Link
from fedsim_runner.contract.topology import Edge, Topology
from fedsim_runner.plan.host_load import SMALL_MODEL
from fedsim_runner.plan.model import MessageSizes, Plan, Traffic
from fedsim_runner.plan.placement import make_plan
from fedsim_runner.plan.placement_error import PlacementError
from fedsim_runner.plan.plan_data import plan_as_dict
from fedsim_runner.plan.traffic import FRAMES, describe_traffic, with_traffic
from fedsim_runner.spec.experiment import Experiment
from tests.builders import device_type, experiment, lab_host

EDGE = NetworkProfile("2g", Link(256_000, 400_000), Link(280_000, 400_000))
FAST = NetworkProfile("fast", Link(), Link())
HUNDRED_MB = 100_000_000
SIZES = MessageSizes(1000, 10_000, 8_000, 0, 12_000, 10**9)


def linked(server: NetworkProfile, *clients: NetworkProfile, rounds: int = 1, **config: Any) -> Experiment:
    study = experiment(len(clients))
    devices = [replace(one, network=link) for one, link in zip(study.devices, (server, *clients), strict=True)]
    federate = {"total_round_num": rounds, "make_global_eval": True, **config.pop("federate", {})}
    return replace(study, devices=tuple(devices), config={**study.config, "federate": federate, **config})


def planned(study: Experiment, sizes: MessageSizes = SIZES, memory_gb: float = 32) -> Plan:
    return with_traffic(make_plan(study, [lab_host(cpus=64, memory_gb=memory_gb)], "study"), sizes)


def traffic(study: Experiment, sizes: MessageSizes = SIZES) -> Traffic:
    found = planned(study, sizes).traffic
    assert found is not None
    return found


def test_a_message_takes_the_slower_of_two_links_and_both_delays() -> None:
    found = traffic(linked(NetworkProfile("lan", Link(1_000_000, 5_000), Link(1_000_000, 5_000)), EDGE))
    server, client = found.transfers
    assert client.receive_s == pytest.approx(10_000 * 8 * FRAMES / 280_000 + 0.405)
    assert client.send_s == pytest.approx(8_000 * 8 * FRAMES / 256_000 + 0.405)
    assert server.send_s == pytest.approx(10_000 * 8 * FRAMES / 1_000_000 + 0.005)
    assert found.round_s == pytest.approx(client.receive_s + client.send_s)
    assert found.slowest == "phone-1"


def test_the_servers_own_link_carries_the_messages_of_all_clients() -> None:
    narrow = NetworkProfile("narrow", Link(80_000), Link())
    found = traffic(linked(narrow, FAST, FAST, FAST))
    assert found.round_s == pytest.approx(3 * 10_000 * 8 * FRAMES / 80_000)
    sampled = traffic(linked(narrow, FAST, FAST, FAST, federate={"sample_client_num": 2}))
    assert sampled.round_s == pytest.approx(2 * 10_000 * 8 * FRAMES / 80_000)
    for federate in ({"sample_client_rate": 0.4}, {"sample_client_rate": 0.4, "sample_client_num": 2}):
        share = traffic(linked(narrow, FAST, FAST, FAST, federate=federate))
        assert share.round_s == pytest.approx(10_000 * 8 * FRAMES / 80_000)


def test_an_edge_carries_the_messages_of_all_clients_behind_it() -> None:
    def far(count: int, **settings: Any) -> Traffic:
        study = linked(FAST, *[FAST] * 3, **settings)
        sites = {
            one.name: "far" if one.name in ("phone-1", "phone-2", "phone-3")[:count] else "near"
            for one in study.devices
        }
        edge = Edge("near", "far", Link(100_000), Link(50_000, 10_000))
        return traffic(replace(study, topology=Topology(sites, (edge,))))

    down, up = 10_000 * 8 * FRAMES / 100_000, 8_000 * 8 * FRAMES / 50_000 + 0.01
    assert far(1).round_s == pytest.approx(down + up)
    assert far(3).round_s == pytest.approx(3 * (up - 0.01) + 0.01)
    # Two of three are asked, so at least one of the far ones.
    assert far(2, federate={"sample_client_num": 2}).round_s == pytest.approx(down + up)
    assert far(0).round_s == 0


def test_a_device_that_passes_on_has_its_own_link_for_all_of_it() -> None:
    relay = NetworkProfile("relay", Link(50_000), Link(100_000))
    study = linked(FAST, relay, FAST, FAST)
    names = [one.name for one in study.devices]
    edges = tuple(Edge(first, "phone-1", Link(), Link()) for first in names if first != "phone-1")
    parents = {"phone-1": "server", "phone-2": "phone-1", "phone-3": "phone-1"}
    found = traffic(replace(study, topology=Topology({name: name for name in names}, edges, parents)))
    # It sends on to two what the server sends, 10,000 bytes, and to the server what the two and itself send, 8,000.
    assert found.round_s == pytest.approx(max(2 * 10_000 * 8 * FRAMES / 50_000, 3 * 8_000 * 8 * FRAMES / 50_000))


def test_without_limits_nothing_takes_time() -> None:
    assert traffic(linked(FAST, FAST)).course_s == 0


def test_a_round_waits_for_the_slowest_unless_fewer_are_asked() -> None:
    slow = traffic(linked(FAST, EDGE, FAST))
    assert slow.round_s > 1
    assert traffic(linked(FAST, EDGE, FAST, federate={"sample_client_num": 1})).round_s == 0


@pytest.mark.parametrize(
    ("course", "round_s"),
    [({"round_deadline_s": 0.5}, 0.5), ({"round_deadline_s": 100}, None), ({}, None)],
)
def test_a_deadline_ends_a_round(course: Mapping[str, Any], round_s: float | None) -> None:
    study = linked(FAST, EDGE, FAST)
    found = traffic(replace(study, course=replace(study.course, **course)))
    slowest = max(one.receive_s + one.send_s for one in found.transfers)
    assert found.round_s == pytest.approx(slowest if round_s is None else round_s)


def test_an_asynchronous_round_has_as_many_updates_as_links_bring() -> None:
    both = linked(FAST, EDGE, EDGE, asyn={"use": True, "min_received_num": 1})
    one = traffic(both)
    assert one.round_s == pytest.approx((one.transfers[1].receive_s + one.transfers[1].send_s) / 2)


def test_the_course_has_rounds_evaluations_and_the_final_model() -> None:
    line = NetworkProfile("line", Link(8_000), Link(8_000))
    sizes = replace(SIZES, evaluate=20_000)
    quiet = traffic(linked(line, line, rounds=10))
    assert quiet.course_s == pytest.approx(FRAMES * (10 * (10 + 8) + 12))
    evaluated = traffic(linked(line, line, rounds=10, eval={"freq": 4}), sizes)
    assert evaluated.course_s == pytest.approx(FRAMES * (10 * (10 + 8) + 12 + 3 * 20))
    only_at_the_end = traffic(linked(line, line, rounds=10, eval={"freq": -1}), sizes)
    assert only_at_the_end.course_s == pytest.approx(FRAMES * (10 * (10 + 8) + 12 + 20))


def test_a_time_limit_below_what_links_need_is_noted() -> None:
    sizes = MessageSizes(18_750_000, HUNDRED_MB, HUNDRED_MB, 0, HUNDRED_MB, 10**9)
    plan = planned(linked(FAST, EDGE), sizes)
    (note,) = [note for note in plan.notes if "course.timeout" in note]
    assert note.startswith("course.timeout is 600 s, and links alone need at least 2 h ")
    assert "1 round with messages of 95.4 MB (slowest: phone-1)" in note
    assert plan.traffic is not None
    # 100 MB over the 2g profile's uplink, 256 kbit/s: 52 minutes and what frames add.
    assert plan.traffic.transfers[1].send_s / 60 == pytest.approx(52.1 * FRAMES, abs=0.1)
    assert plan.traffic.course_s > 600
    long = replace(plan.experiment, course=replace(plan.experiment.course, timeout_s=plan.traffic.course_s + 1))
    assert not [note for note in planned(long, sizes).notes if "course.timeout" in note]


def test_a_client_whose_link_misses_every_deadline_is_named() -> None:
    study = linked(FAST, EDGE, FAST)
    notes = planned(replace(study, course=replace(study.course, round_deadline_s=1))).notes
    assert [note for note in notes if note.startswith("phone-1: the link alone takes longer than course.round_dead")]
    assert not [note for note in planned(study).notes if "round_deadline" in note]


@pytest.mark.parametrize("engine", ["light", "federatedscope"])
def test_a_large_model_takes_memory(engine: str) -> None:
    facts = engine_facts(engine)
    numbers = SMALL_MODEL + 10_000_000
    sizes = replace(SIZES, numbers=numbers)
    study = experiment(1, client=device_type("box", memory_mb=65_536), server=device_type("edge", memory_mb=65_536))
    study = replace(study, devices=tuple(replace(device, engine=engine) for device in study.devices))
    small, large = (planned(study, each, memory_gb=64).loads[0].memory_bytes for each in (SIZES, sizes))
    assert facts.client_bytes_per_number > 4
    assert large - small == 10_000_000 * (facts.client_bytes_per_number + facts.server_bytes_per_number)


def test_a_device_that_holds_its_engine_but_not_the_model_is_noted() -> None:
    sizes = replace(SIZES, numbers=20_000_000)
    notes = planned(experiment(2, server=device_type("edge", memory_mb=32_000)), sizes).notes
    (note,) = [note for note in notes if "with this model" in note]
    assert note.startswith("phone-1, phone-2: with this model engine light needs about ")
    assert not [note for note in planned(experiment(2)).notes if "with this model" in note]


def test_a_lab_host_without_memory_for_the_model_is_refused_before_anything_is_made() -> None:
    study = experiment(2, client=device_type("box", memory_mb=30_000), server=device_type("edge", memory_mb=30_000))
    planned(study, memory_gb=4)
    with pytest.raises(PlacementError, match=r"3 devices on lab host lab1 need about"):
        planned(study, replace(SIZES, numbers=50_000_000), memory_gb=4)


def test_the_traffic_in_words_and_as_data() -> None:
    plan = planned(linked(FAST, EDGE, rounds=3), replace(SIZES, evaluate=20_000))
    assert plan.traffic is not None
    text = describe_traffic(plan.traffic, 3)
    assert text.startswith("Messages: a model of 1,000 numbers, 9.8 kB to a client and 7.8 kB back in every round, ")
    assert "19.5 kB for each evaluation, 11.7 kB at the end; links alone take at least 1.4 s of a round, and" in text
    assert text.endswith(" (slowest: phone-1)")
    data = plan_as_dict(plan)["expected_traffic"]
    assert data["to_client_bytes"] == 10_000
    assert data["course_s"] == round(plan.traffic.course_s, 3)
    assert set(data["devices"]) == {"server", "phone-1"}
    assert plan_as_dict(replace(plan, traffic=None))["expected_traffic"] is None
