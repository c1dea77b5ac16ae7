"""When a round ends without all of its clients."""

from __future__ import annotations

import math

import pytest

from fedsim_runner.contract.records import LaunchSettings
from fedsim_runner.participant.round_end import RoundEnd


def test_a_round_without_limits_waits_for_all() -> None:
    end = RoundEnd(LaunchSettings(), began=100.0)
    assert (end.at(9, 10, 1e9), end.reason(9, 10, 1e9)) == (math.inf, None)


def test_a_deadline_waits_for_the_first_answer() -> None:
    end = RoundEnd(LaunchSettings(round_deadline_s=30), began=100.0)
    assert end.reason(0, 10, 131.0) is None
    assert end.reason(1, 10, 129.9) is None
    assert end.reason(1, 10, 130.0) == "deadline"


def test_a_quorum_ends_a_round_at_once() -> None:
    end = RoundEnd(LaunchSettings(round_quorum=0.8), began=100.0)
    assert end.reason(7, 10, 108.0) is None
    assert end.reason(8, 10, 109.0) == "quorum"


def test_the_time_for_the_others_follows_the_arrivals() -> None:
    end = RoundEnd(LaunchSettings(round_quorum=8, round_grace=0.5), began=100.0)
    assert end.at(8, 10, 110.0) == 115.0
    assert end.at(9, 10, 114.0) == 115.0, "a later arrival does not move it"
    assert (end.reason(9, 10, 114.9), end.reason(9, 10, 115.0)) == (None, "quorum")


@pytest.mark.parametrize(("deadline_s", "at", "reason"), [(12, 112.0, "deadline"), (30, 115.0, "quorum")])
def test_whichever_comes_first_ends_the_round(deadline_s: float, at: float, reason: str) -> None:
    end = RoundEnd(LaunchSettings(round_deadline_s=deadline_s, round_quorum=8, round_grace=0.5), began=100.0)
    assert end.at(8, 10, 110.0) == at
    assert end.reason(8, 10, at) == reason


def test_an_evaluation_has_no_quorum() -> None:
    end = RoundEnd(LaunchSettings(round_deadline_s=30, round_quorum=1), began=100.0, has_quorum=False)
    assert (end.reason(5, 10, 129.0), end.reason(5, 10, 130.0)) == (None, "deadline")
