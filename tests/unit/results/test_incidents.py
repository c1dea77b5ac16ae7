"""Notes on what a reader of the results must know."""

from __future__ import annotations

from fedsim_runner.contract.course_state import CourseState
from fedsim_runner.contract.events import LabNetworkJoined, LinkRestored, LinksTooLong, TargetReached
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
        "links that somebody else changed, and that were then restored: "
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


def test_what_the_network_between_lab_hosts_does_not_hold_is_noted_once() -> None:
    joined = LabNetworkJoined(port=14789, unguarded="Operation not supported", lab_host="north")
    longer = LinksTooLong(("pi-1", "pi-2"), 20_300, lab_host="south")
    course = CourseState().apply_all([LabNetworkJoined(lab_host="south"), joined, joined, longer])
    assert collect_notes(course, []) == [
        "lab host north cannot keep others than the run's lab hosts from sending to its devices over UDP port 14789: "
        "Operation not supported",
        "pi-1, pi-2 on lab host south: packets take 20.3 ms to or from another lab host, which is longer than the "
        "delay of the links between",
    ]
