"""What a plan says of its events, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedsim_runner.contract.time_scale import TimeScale
from fedsim_runner.contract.timeline import LinkChange, TimelineEntry, When
from fedsim_runner.inventory.build import build_inventory
from fedsim_runner.plan.placement import make_plan
from fedsim_runner.plan.placement_error import PlacementError
from fedsim_runner.plan.plan_data import plan_as_dict
from fedsim_runner.plan.timeline_notes import describe_timeline
from fedsim_runner.spec.experiment import Experiment
from tests.builders import experiment, lab_host

KILL = TimelineEntry(number=1, devices=("phone-1",), at_s=10, action="kill")


def with_events(*entries: TimelineEntry, continues: bool = False) -> Experiment:
    made = experiment(clients=2)
    course = replace(made.course, on_client_failure="continue" if continues else "abort")
    return replace(made, course=course, timeline=entries)


def notes(*entries: TimelineEntry, continues: bool = False) -> list[str]:
    return list(describe_timeline(with_events(*entries, continues=continues)))


def test_a_kill_that_ends_the_course_is_named() -> None:
    (note,) = notes(KILL)
    assert note == "event 1 (at 10 s) kills phone-1: with on_client_failure: abort that ends the course"
    assert notes(KILL, continues=True) == notes(replace(KILL, duration_s=5)) == []


def test_silence_that_costs_clients_is_named() -> None:
    freeze = replace(KILL, action="freeze")
    (note,) = notes(freeze)
    assert note == (
        "event 1 (freeze until the end): phone-1 will be given up after 60 s of silence (course.silence_timeout)"
    )
    assert notes(replace(freeze, duration_s=60)) == [note.replace("until the end", "for 60 s")]
    assert notes(replace(freeze, duration_s=59)) == []
    assert notes(freeze, replace(KILL, number=2, at_s=69, action="thaw")) == []
    assert notes(freeze, replace(KILL, number=2, at_s=70, action="thaw")) == [note.replace("until the end", "for 60 s")]
    assert notes(freeze, replace(KILL, number=2, at_s=None, round=3, action="thaw")) == []
    both = replace(freeze, action="partition", devices=("phone-1", "phone-2"))
    healed = replace(KILL, number=2, at_s=20, action="heal")
    (other,) = notes(both, healed)
    assert other.startswith("event 1 (partition until the end): phone-2 will be given up"), "phone-1 is healed"
    assert notes(replace(freeze, devices=("server",))) == []


def test_traffic_that_leaves_nothing_of_a_changed_rate_is_named() -> None:
    slow = TimelineEntry(number=1, devices=("phone-1", "phone-2"), at_s=5, up=LinkChange(rate_bps=300_000))
    load = TimelineEntry(number=2, devices=("phone-2",), at_s=10, up=LinkChange(load_bps=400_000))
    (note,) = notes(slow, load)
    assert note.startswith("event 2 (at 10 s): other traffic leaves phone-2 only 1 kbit/s")
    (dilated,) = describe_timeline(with_events(slow, load), TimeScale(0.25))
    assert dilated == note.replace("only 1 kbit/s", "only 4 kbit/s"), "of what the lab host holds at least"
    assert notes(replace(slow, duration_s=5), load) == []
    assert notes(replace(slow, at_s=11), load) == []
    assert notes(slow, replace(slow, number=3, at_s=6, up=LinkChange(rate_bps=900_000)), load) == []


def test_a_queue_that_outlasts_its_rate_is_named() -> None:
    slow = TimelineEntry(number=1, devices=("phone-1",), at_s=5, up=LinkChange(rate_bps=100_000))
    assert notes(slow) == [], "it falls, for good"
    (note,) = notes(replace(slow, duration_s=5))
    assert note == (
        "event 1 (at 5 s): with back end netem, what waits when the rate of phone-1 rises still leaves at the old one, "
        "which takes a full queue 1.9 s"
    )
    made = replace(with_events(replace(slow, duration_s=5)), link_backend="userspace")
    assert list(describe_timeline(made)) == []


def test_a_moment_that_the_devices_agent_does_not_see_is_refused() -> None:
    hosts = [lab_host("a", cpus=4), lab_host("b", cpus=4)]
    when = replace(KILL, at_s=None, when=When("phone-1", "joined"), devices=("server",), action="offline")
    with pytest.raises(PlacementError, match=r"event 1 .* is for server on lab host a, and only"):
        make_plan(with_events(when), hosts, "study")
    for entry in (replace(when, devices=("phone-1",)), replace(KILL, devices=("server", "phone-1"))):
        assert make_plan(with_events(entry), hosts, "study").placed
    assert make_plan(with_events(when), [lab_host()], "study").placed


def test_plan_and_device_files_keep_the_timeline() -> None:
    plan = make_plan(with_events(KILL), [lab_host()], "study")
    (listed,) = plan_as_dict(plan)["timeline"]
    assert (listed["number"], listed["devices"], listed["at_s"], listed["action"]) == (1, ["phone-1"], 10, "kill")
    assert build_inventory(plan).device_files["lab1"].as_dict()["timeline"] == [listed]
