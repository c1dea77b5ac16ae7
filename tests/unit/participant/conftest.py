"""Fixtures of the participant's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.participant.helpers import Course


@pytest.fixture
def make_course(tmp_path: Path) -> Iterator[Callable[..., Course]]:
    """Makes courses whose processes are ended after the test."""
    made: list[Course] = []

    def make(**options: Any) -> Course:
        made.append(Course(tmp_path / f"course-{len(made)}", **options))
        return made[-1]

    yield make
    for course in made:
        course.end()
