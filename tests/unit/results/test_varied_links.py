"""What is said of links that varied by themselves."""

from __future__ import annotations

from fedsim_runner.contract.course_state import CourseState
from fedsim_runner.contract.events import LinksVaried
from fedsim_runner.results.tables.varied_links import build_varied_links, describe_late_variations


def said(*events: LinksVaried) -> list[str]:
    course = CourseState()
    for event in events:
        course.apply(event)
    return describe_late_variations(build_varied_links(course))


def test_the_usual_is_not_mentioned() -> None:
    assert said() == said(LinksVaried(lab_host="a", changes=100, latest_s=0.06)) == []


def test_late_changes_are_named_by_lab_host() -> None:
    events = (LinksVaried(lab_host="b", changes=7, latest_s=0.9), LinksVaried(lab_host="a", changes=9, latest_s=0.1))
    assert said(*events) == [
        "Links that vary by themselves were late on lab host b: of 7 changes the latest was in force 0.90 s after its "
        "time."
    ]


def test_links_that_could_not_be_changed() -> None:
    failed = tuple(f"pi-{number}: gone" for number in range(6))
    assert said(LinksVaried(lab_host="a", changes=1, latest_s=0.0, failed=failed)) == [
        "Links that could not follow their trace or states: pi-0: gone; pi-1: gone; pi-2: gone; pi-3: gone; and 2 more."
    ]
