"""Notes on what a reader of the results must know."""

from __future__ import annotations

from fedsim_runner.contract.course_state import CourseState
from fedsim_runner.contract.events import LinkRestored, TargetReached
from fedsim_runner.results.tables.incidents import NAMED, collect_notes


def test_links_that_somebody_changed_are_named_with_how_long_they_were_false_at_most() -> None:
    course = CourseState().apply_all(
        [
            LinkRestored("pi-1", "up is none, not tbf", 6.1),
            LinkRestored("pi-1", "queue rule is absent, not present", 4.0),
            LinkRestored("pi-2", "down is none, not tbf", 6.0),
        ]
    )
    assert collect_notes(course, []) == [
        "links that somebody else changed, which were then put back in force: "
        "pi-1 (up to 10 s: queue rule is absent, not present), pi-2 (up to 6 s: down is none, not tbf)"
    ]


def test_of_many_such_links_the_first_are_named() -> None:
    course = CourseState().apply_all(
        [LinkRestored(f"pi-{number}", "port is none, not br0", 6.0) for number in range(9)]
    )
    (note,) = collect_notes(course, [])
    assert note.count("pi-") == NAMED
    assert note.endswith("and 3 more")


def test_an_early_end_is_noted_with_its_round_and_reason() -> None:
    course = CourseState().apply_all([TargetReached(4, 0.91234, 0.9)])
    assert collect_notes(course, []) == [
        "the course ended after round 4: its accuracy 0.9123 reached the target 0.9 (course.target)"
    ]
