"""Fixtures: FederatedScope, and courses whose processes are ended after the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.federatedscope import runnable_checkout
from tests.unit.participant.federatedscope.helpers import TorchCourse


@pytest.fixture(scope="session")
def source() -> Path:
    """Folder of a checkout that the interpreter can run."""
    return runnable_checkout()


@pytest.fixture
def torch_course(tmp_path: Path, source: Path) -> Iterator[Callable[..., TorchCourse]]:
    """Makes courses of FederatedScope itself."""
    made: list[TorchCourse] = []

    def make(**options: Any) -> TorchCourse:
        made.append(TorchCourse(tmp_path / f"course-{len(made)}", source, **options))
        return made[-1]

    yield make
    for course in made:
        course.end()
