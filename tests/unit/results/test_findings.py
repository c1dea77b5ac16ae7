"""What was unusual in a run, as sentences."""

from __future__ import annotations

from typing import Any

import pytest

from fedsim_runner.results.findings import describe_findings


@pytest.mark.parametrize(
    ("began", "startup", "lost_at", "when"),
    [
        (100.0, 5.0, 102.34, " 2.3 s after training began"),
        (100.0, 5.0, 99.0, " before training began"),
        (100.0, None, 102.34, " before training began"),
        (None, None, 99.0, ""),
    ],
)
def test_a_lost_client_and_when(began: float | None, startup: float | None, lost_at: float, when: str) -> None:
    lost = {"device": "pi", "reason": "ended", "t": lost_at}
    report: dict[str, Any] = {"began": began, "startup_s": startup, "lost_clients": [lost]}
    assert describe_findings(report) == [f"pi was lost{when}: ended. The course continued without it."]
