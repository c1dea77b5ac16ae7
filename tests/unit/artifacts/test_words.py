"""What happened in a run, in sentences."""

from __future__ import annotations

from typing import Any

import pytest

from fedsim_runner.artifacts.words import what_happened


@pytest.mark.parametrize(
    ("began", "lost_at", "when"),
    [
        (100.0, 102.34, " 2.3 s after training began"),
        (100.0, 99.0, " before training began"),
        (None, 99.0, ""),
    ],
)
def test_a_lost_client_and_when(began: float | None, lost_at: float, when: str) -> None:
    report: dict[str, Any] = {"began": began, "lost_clients": [{"device": "pi", "reason": "ended", "t": lost_at}]}
    assert what_happened(report) == [f"pi was lost{when}: ended. The course went on without it."]
