"""What devices have is said once, whatever their number."""

from __future__ import annotations

from fedsim_runner.agent.timeline.found import describe_together


def test_devices_that_have_the_same_are_named_together() -> None:
    found = {f"pi-{number}": "reached by nobody" for number in range(1, 51)}
    assert describe_together(found) == ["pi-1, pi-2, pi-3 and 47 more: reached by nobody"]
    assert describe_together({"a": "frozen", "b": "thawed", "c": "frozen"}) == ["a, c: frozen", "b: thawed"]
    four = ["a", "b", "c", "d"]
    assert describe_together(dict.fromkeys(four, "frozen")) == ["a, b, c, d: frozen"]


def test_different_texts_are_not_all_there() -> None:
    found = {f"pi-{number}": f"rate {number}" for number in range(1, 9)}
    assert describe_together(found) == [
        *(f"pi-{number}: rate {number}" for number in range(1, 6)),
        "and 3 more devices",
    ]
    assert describe_together({}) == []
