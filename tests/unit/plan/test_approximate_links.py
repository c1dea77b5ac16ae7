"""A plan names what a back end that may be used holds only roughly of the links."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedsim_runner.catalog.types import NetworkProfile
from fedsim_runner.contract.gilbert_elliott import GilbertElliott
from fedsim_runner.contract.link import Link, Queue
from fedsim_runner.contract.timeline import LinkChange, TimelineEntry
from fedsim_runner.contract.topology import Edge, Topology
from fedsim_runner.plan.model import Plan
from fedsim_runner.plan.placement import make_plan
from fedsim_runner.plan.placement_error import PlacementError
from tests.builders import experiment, lab_host

BURSTS = GilbertElliott(0.01, 0.25)
BURSTY = Link(12_000_000, 20_000, 1_000, BURSTS.mean_loss, bursts=BURSTS)
WIDE = Link(12_000_000, 60_000, 60_000, jitter_distribution="pareto")


def plan_with(link: Link, backend: str, allow_unshaped: bool = False) -> Plan:
    made = experiment(2)
    devices = tuple(replace(one, network=NetworkProfile("own", link, link)) for one in made.devices)
    made = replace(made, devices=devices, link_backend=backend, allow_unshaped=allow_unshaped)
    return make_plan(made, [lab_host()], "study")


def test_in_a_dilated_plan_they_are_the_devices_values() -> None:
    made = experiment(2)
    devices = tuple(replace(one, network=NetworkProfile("own", WIDE, WIDE)) for one in made.devices)
    plan = make_plan(replace(made, devices=devices, time="dilated", cpu_factor=0.25), [lab_host()], "study")
    assert any(note.endswith("(60±60 ms, pareto)") for note in plan.notes), plan.notes


@pytest.mark.parametrize(
    ("backend", "link", "begins"),
    [
        ("auto", WIDE, "back end netem, used where its kernel has it, makes the mean delay of links with much jitter"),
        ("netem", WIDE, "back end netem makes the mean delay of links with much jitter longer, at most by 2 ms"),
        ("userspace", WIDE, None),
        ("netem", Link(12_000_000, 35_000, 4_000), None),
    ],
)
def test_it_is_named_for_each_lab_host(backend: str, link: Link, begins: str | None) -> None:
    plan = plan_with(link, backend)
    found = [note.partition(": ") for note in plan.notes if "back end" in note]
    assert [(where, what.startswith(begins or "")) for where, _, what in found] == (
        [] if begins is None else [(f"lab host {lab_host().name}", True)]
    )


def test_what_only_some_back_ends_do_is_named_and_what_none_does_is_refused() -> None:
    assert not [note for note in plan_with(BURSTY, "auto").notes if "need back end" in note]
    corrupt = replace(BURSTY, corrupt=0.1)
    notes = [note for note in plan_with(corrupt, "auto").notes if "need back end" in note]
    assert notes == [f"lab host {lab_host().name}: links need back end netem: back end userspace corrupts no packets"]
    with pytest.raises(PlacementError, match="back end userspace corrupts no packets") as refused:
        plan_with(corrupt, "userspace")
    assert refused.value.hint == "ask for less on these links, or another back end than userspace"
    assert str(refused.value).count(refused.value.hint) == 1
    with pytest.raises(PlacementError, match="back end userspace duplicates no packets"):
        plan_with(replace(BURSTY, duplicate=0.1), "auto")
    assert plan_with(replace(BURSTY, duplicate=0.1), "auto", allow_unshaped=True)


def test_what_links_become_during_the_course_counts_as_well() -> None:
    codel = replace(WIDE, queue=Queue(discipline="codel"))
    for link, later, backend, said in (
        (WIDE, replace(WIDE, corrupt=0.1), "userspace", "corrupts no packets"),
        (WIDE, codel, "netem", "changes no link from one queue discipline to another"),
        (codel, replace(codel, rate_bps=1_000_000), "netem", None),
    ):
        made = experiment(2)
        devices = tuple(replace(one, network=NetworkProfile("own", link, link)) for one in made.devices)
        change = TimelineEntry(number=1, devices=(devices[1].name,), at_s=5.0, up=LinkChange(to=later))
        made = replace(made, devices=devices, link_backend=backend, timeline=(change,))
        if said is None:
            assert make_plan(made, [lab_host()], "study")
        else:
            with pytest.raises(PlacementError, match=said):
                make_plan(made, [lab_host()], "study")


def test_edges_between_lab_hosts_need_one_back_end() -> None:
    made = experiment(2)
    sites = {one.name: "east" if number else "west" for number, one in enumerate(made.devices)}
    made = replace(made, topology=Topology(sites, (Edge("west", "east", Link(), Link(5_000_000)),)), placement="spread")
    hosts = [lab_host("north", lab_address="192.0.2.1"), lab_host("south", lab_address="192.0.2.2")]

    def notes(backend: str, count: int) -> list[str]:
        plan = make_plan(replace(made, link_backend=backend), hosts[:count], "study")
        return [note for note in plan.notes if "lab hosts" in note]

    rate, same = notes("auto", 2)
    assert rate.startswith("each of the 2 lab hosts holds the rate of an edge (west to east)")
    assert same.startswith("the 2 lab hosts need the same link back end")
    assert notes("netem", 2) == [rate]
    assert notes("auto", 1) == []
