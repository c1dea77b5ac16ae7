"""Which entries are in force, and what they make of links and devices together."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

from fedsim_runner.agent.timeline.in_force import Holding, InForce, taken_back_by
from fedsim_runner.contract.link import Link, Links
from fedsim_runner.contract.timeline import Action, LinkChange, TimelineEntry

PLANNED = {name: Links(Link(1_000_000), Link(2_000_000, 5_000)) for name in "abc"}


def entry(number: int, devices: str, action: Action | None = None, **up: int) -> TimelineEntry:
    change = LinkChange(**up) if action is None else None
    return TimelineEntry(number=number, devices=tuple(devices), at_s=float(number), action=action, up=change)


def after(*entries: TimelineEntry) -> InForce:
    return reduce(InForce.begin, entries, InForce())


def test_changes_of_a_link_apply_in_the_order_in_which_they_began_and_end_by_themselves() -> None:
    found = after(entry(1, "ab", rate_bps=500_000), entry(2, "a", delay_us=9_000))
    assert found.deviation(PLANNED).links == {
        "a": Links(Link(500_000, 9_000), PLANNED["a"].down),
        "b": Links(Link(500_000), PLANNED["b"].down),
    }
    assert found.end(1).deviation(PLANNED).links == {"a": Links(Link(1_000_000, 9_000), PLANNED["a"].down)}
    assert found.end(1).end(2) == InForce()


def test_of_changes_that_a_later_one_replaces_for_good_nothing_is_kept() -> None:
    found = after(*(entry(number, "ab", load_bps=number) for number in range(1, 1000)))
    assert found == InForce((Holding(entry(999, "ab", load_bps=999), frozenset("ab")),))
    rate, both = entry(1, "ab", rate_bps=500_000), entry(2, "a", rate_bps=400_000, delay_us=9_000)
    assert [one.devices for one in after(rate, both).held] == [{"b"}, {"a"}]
    assert len(after(both, rate).held) == 2, "the delay is still the first one's"
    assert len(after(rate, replace(both, duration_s=5.0)).held) == 2, "the first one's rate holds again after it"
    profile = replace(rate, number=3, up=LinkChange(to=Link(7_000_000)))
    assert len(after(entry(1, "a", load_bps=5), entry(2, "a", rate_bps=6), profile).held) == 2, "the load stays"
    assert len(after(profile, replace(rate, number=4)).held) == 2, "the profile's other values stay"


def test_what_another_entry_takes_back_stays_for_the_others() -> None:
    found = after(entry(1, "ab", "partition"), entry(2, "bc", "offline"), entry(3, "abc", "freeze"))
    assert found.devices_of("offline") == {"b", "c"} and found.devices_of("freeze") == {"a", "b", "c"}
    found = found.begin(entry(4, "a", "heal")).begin(entry(5, "c", "online")).begin(entry(6, "ab", "thaw"))
    deviation = found.deviation(PLANNED)
    assert (deviation.partitions, deviation.offline) == ({1: {"b"}}, {"b"})
    assert found.devices_of("freeze") == {"c"}
    assert found.begin(entry(7, "b", "heal")).deviation(PLANNED).partitions == {}


def test_the_end_of_one_leaves_what_another_one_holds() -> None:
    found = after(entry(1, "a", "offline"), entry(2, "ab", "offline"))
    assert found.end(2).devices_of("offline") == {"a"} and found.end(1).devices_of("offline") == {"a", "b"}


def test_what_happens_once_is_not_in_force() -> None:
    assert after(entry(1, "a", "kill"), entry(2, "a", "restart"), entry(3, "a", "heal")) == InForce()
    assert [taken_back_by(entry(1, "a", action)) for action in ("kill", "heal", "freeze")] == ["restart", None, "thaw"]
    assert taken_back_by(entry(1, "a", rate_bps=1)) is None


def test_it_is_read_as_it_was_written() -> None:
    entries = entry(1, "ab", "partition"), entry(2, "a", rate_bps=5_000), entry(3, "a", "heal")
    found = after(*entries)
    assert InForce.from_data(found.as_data(), entries) == found
    assert InForce.from_data([(9, ["a"])], entries) == InForce()
