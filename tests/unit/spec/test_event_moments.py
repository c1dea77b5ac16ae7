"""Random events: the same for the same seed, as many as asked for, between the given times."""

from __future__ import annotations

from fedsim_runner.spec.event_entries import EventEntry
from fedsim_runner.spec.event_moments import Course, Moment, moments_of
from fedsim_runner.yamlfile.document import parse

DEVICES = ("a", "b", "c", "d")


def draw(seed: int, number: int = 0, **given: object) -> list[Moment]:
    document = parse("name: x", "x.yaml")
    entry = EventEntry.model_validate({"devices": ["all"], "action": "offline", "random": given})
    found = moments_of(entry, number, DEVICES, Course(seed, 600, 10, DEVICES, "server", False), document)
    assert document.errors == []
    return found


def test_a_seed_draws_the_same_and_another_seed_or_event_something_else() -> None:
    first = draw(7, count=5, between=[10, 60], pick=2)
    assert first == draw(7, count=5, between=[10, 60], pick=2)
    assert first != draw(8, count=5, between=[10, 60], pick=2)
    assert first != draw(7, 1, count=5, between=[10, 60], pick=2)


def test_as_many_as_asked_for_in_order_between_the_times_with_as_many_devices() -> None:
    found = draw(1, count=200, between=[10, 60], pick=3)
    times = [one.at_s or 0.0 for one in found]
    assert len(found) == 200 and times == sorted(times) and 10 <= times[0] < times[-1] <= 60
    assert all(len(one.devices) == 3 and list(one.devices) == sorted(one.devices) for one in found)
    assert {name for one in found for name in one.devices} == set(DEVICES)
    assert {one.devices for one in draw(1, count=3, between=[1, 2])} == {DEVICES}


def test_a_mean_interval_makes_about_as_many_as_fit() -> None:
    counts = [len(draw(seed, every=2, between=[100, 300])) for seed in range(50)]
    assert 90 < sum(counts) / len(counts) < 110
    assert len(set(counts)) > 10
    assert all(100 < (one.at_s or 0) < 300 for one in draw(3, every=2, between=[100, 300]))
