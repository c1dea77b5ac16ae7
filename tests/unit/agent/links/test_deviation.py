"""How links differ from the device file: what varies by itself, and what events change on top of that."""

from __future__ import annotations

from dataclasses import replace

from fedsim_runner.agent.links.deviation import Deviation
from fedsim_runner.agent.links.profile import DeviceLink, Profile
from fedsim_runner.agent.timeline.in_force import InForce
from fedsim_runner.contract.link import Link, Links
from fedsim_runner.contract.timeline import LinkChange, TimelineEntry

PLANNED = Links(Link(1_000_000, 10_000), Link())
NOW = Links(Link(4_000_000, 20_000), Link())
PROFILE = Profile([DeviceLink(name, f"198.18.0.{number}", *vars(PLANNED).values()) for number, name in enumerate("ab")])


def links(deviation: Deviation) -> dict[str, Links]:
    return {one.device: Links(one.up, one.down) for one in deviation.of(PROFILE).devices}


def test_an_event_changes_what_a_varying_link_is_at_the_time() -> None:
    loss = TimelineEntry(number=1, devices=("a", "b"), at_s=1.0, up=LinkChange(loss=0.5))
    during = InForce().begin(loss).deviation({"a": PLANNED, "b": PLANNED})
    both = Deviation(during.links, during.offline, during.partitions, {"a": NOW}, during.changes)
    assert links(both) == {
        "a": Links(Link(4_000_000, 20_000, 0, 0.5), Link()),
        "b": Links(Link(1_000_000, 10_000, 0, 0.5), Link()),
    }
    assert links(Deviation(varied={"a": NOW})) == {"a": NOW, "b": PLANNED}


def test_what_a_step_of_a_trace_changes_is_the_links_of_its_devices_alone() -> None:
    before = Deviation(links={"b": NOW}, varied={"a": PLANNED, "b": PLANNED})
    assert before.changed_links(before) == set()
    after = replace(before, varied={**before.varied, "a": NOW})
    assert after.changed_links(before) == before.changed_links(after) == {"a"}
    assert before.changed_links(Deviation()) == {"a", "b"}
    assert replace(after, offline=frozenset("b")).changed_links(before) is None
    assert replace(after, partitions={1: frozenset("b")}).changed_links(before) is None
