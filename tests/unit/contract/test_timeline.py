"""Timelines: what a link is while several entries are in force, and how an entry reads."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from fedsim_runner.contract.course_state import CourseState
from fedsim_runner.contract.device_file import DeviceFile
from fedsim_runner.contract.events import EventBegun, EventEnded, EventFailed
from fedsim_runner.contract.link import Link, Links
from fedsim_runner.contract.timeline import (
    LEAST_RATE_BPS,
    UNDONE_BY,
    Action,
    LinkChange,
    State,
    TimelineEntry,
    When,
    describe_change,
    describe_time,
    links_with,
)
from tests.device_files import device_file

PLANNED = Links(Link(2_000_000, 30_000, 5_000, 0.01), Link(8_000_000, 20_000))
SLOW = TimelineEntry(number=1, devices=("pi-1",), at_s=10, up=LinkChange(rate_bps=500_000))
LATE = TimelineEntry(number=2, devices=("pi-1",), at_s=20, up=LinkChange(delay_us=2_000), down=LinkChange(loss=0.05))
BUSY = TimelineEntry(number=3, devices=("pi-1",), round=2, up=LinkChange(load_bps=400_000))


def test_without_entries_a_link_is_the_planned_one() -> None:
    assert links_with(PLANNED, []) == PLANNED


def test_what_an_entry_does_not_name_stays() -> None:
    assert links_with(PLANNED, [SLOW]) == Links(replace(PLANNED.up, rate_bps=500_000), PLANNED.down)


def test_later_entries_count_and_an_entry_that_ends_takes_back_only_its_own() -> None:
    both = links_with(PLANNED, [SLOW, LATE])
    assert both.up == Link(500_000, 2_000, 2_000, 0.01), "jitter is at most the delay"
    assert both.down == Link(8_000_000, 20_000, 0, 0.05)
    faster = replace(SLOW, up=LinkChange(rate_bps=1_000_000))
    assert links_with(PLANNED, [SLOW, faster]).up.rate_bps == 1_000_000
    assert links_with(PLANNED, [faster]) == links_with(PLANNED, [SLOW, faster])


def test_other_traffic_leaves_the_rest_of_whatever_rate_there_is() -> None:
    assert links_with(PLANNED, [BUSY]).up.rate_bps == 1_600_000
    assert links_with(PLANNED, [BUSY, SLOW]).up.rate_bps == links_with(PLANNED, [SLOW, BUSY]).up.rate_bps == 100_000
    over = replace(BUSY, up=LinkChange(load_bps=0))
    assert links_with(PLANNED, [BUSY, over]) == PLANNED
    more = replace(BUSY, up=LinkChange(load_bps=3_000_000))
    assert links_with(PLANNED, [more]).up.rate_bps == LEAST_RATE_BPS


def test_a_profile_sets_all_but_the_load_and_without_a_limit_any_traffic_passes() -> None:
    link = Link(300_000, 9_000, 1_000, 0.1)
    other = replace(SLOW, up=LinkChange(link), profile="other")
    assert links_with(PLANNED, [BUSY, other]).up == links_with(PLANNED, [other, BUSY]).up
    assert links_with(PLANNED, [other]).up == link
    assert links_with(PLANNED, [BUSY, other]).up.rate_bps == LEAST_RATE_BPS
    free = replace(SLOW, up=LinkChange(Link()))
    assert links_with(PLANNED, [free, BUSY]).up.rate_bps is None


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (SLOW, "up 500 kbit/s"),
        (LATE, "up delay 2 ms, down loss 5 %"),
        (BUSY, "up other traffic 400 kbit/s"),
        (replace(BUSY, up=LinkChange(load_bps=0), down=LinkChange(load_bps=0)), "up and down no other traffic"),
        (replace(SLOW, up=LinkChange(delay_us=1_500, jitter_us=500)), "up delay 1.5 ms jitter 0.5 ms"),
        (replace(SLOW, up=LinkChange(Link(None, 1_500))), "up not limited delay 1.5 ms jitter 0 ms loss 0 %"),
        (replace(SLOW, profile="2g"), "link as 2g"),
        (replace(SLOW, up=None, action="partition"), "partition"),
    ],
)
def test_a_change_in_words(entry: TimelineEntry, text: str) -> None:
    assert describe_change(entry) == text


def test_times_in_words() -> None:
    assert describe_time(replace(SLOW, at_s=12.5)) == "at 12.5 s"
    assert describe_time(BUSY) == "round 2"
    times = [describe_time(replace(SLOW, at_s=None, when=When("pi-1", state))) for state in get_args(State)]
    assert times == ["when pi-1 has joined", "when pi-1 begins to train", "when pi-1 is lost", "when pi-1 has finished"]


def test_only_actions_undo_actions() -> None:
    assert set(UNDONE_BY) | set(UNDONE_BY.values()) == set(get_args(Action))


def test_a_device_file_keeps_its_timeline() -> None:
    when = replace(SLOW, at_s=None, when=When("pi-1", "training"), duration_s=2.5, profile="slow")
    entries = (SLOW, LATE, BUSY, when, replace(SLOW, up=None, action="kill"))
    file = replace(device_file(), timeline=entries)
    assert DeviceFile.from_dict(file.as_dict()) == file
    old = file.as_dict()
    del old["timeline"]
    assert DeviceFile.from_dict(old).timeline == ()


def test_the_state_of_a_course_keeps_what_became_of_entries() -> None:
    begun = EventBegun(1, ("pi-1",), "up 500 kbit/s", 10.0, 0.01, "tbf rate 500000 bit/s", t=10.01)
    ended = EventEnded(1, ("pi-1",), "up 500 kbit/s", 15.0, 0.01, "tbf rate 2000000 bit/s", t=15.01)
    failed = EventFailed(2, ("pi-1",), "kill", 20.0, "it has ended", t=20.01)
    assert CourseState().apply_all([begun, ended, failed]).timeline == [begun, ended, failed]
