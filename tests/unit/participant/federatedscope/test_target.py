"""A course that ends at a target accuracy."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fedsim_runner.contract.participant_events import TargetReached
from fedsim_runner.participant.federatedscope.target import latest_accuracy
from tests.unit.participant.federatedscope.helpers import CONTINUE, TorchCourse, accuracy
from tests.unit.participant.helpers import supervised


@pytest.mark.federatedscope
@pytest.mark.parametrize(
    ("evaluator", "launch"),
    [("server", {}), ("clients", {}), ("clients", CONTINUE)],
    ids=["server", "clients", "policy"],
)
def test_the_round_that_reaches_the_target_is_the_last(
    torch_course: Callable[..., TorchCourse], evaluator: str, launch: dict[str, str]
) -> None:
    config = {"federate": {"total_round_num": 40, "make_global_eval": evaluator == "server"}}
    course = torch_course(config=config, target=0.7, **launch)
    course.go()
    for name in course.names:
        assert course.wait(name, 180) == 0, course.said(name)
    supervisor, evaluated = supervised(course)
    assert supervisor.outcome is not None and supervisor.outcome.status == "finished", supervisor.outcome
    assert 1 <= len(evaluated) < 40
    assert len(set(evaluated)) == len(evaluated), "no round is evaluated twice"
    (reached,) = [event for event in course.reported("server") if isinstance(event, TargetReached)]
    last = accuracy(course, "Results_raw" if evaluator == "server" else "Results_weighted_avg")
    assert reached.accuracy == pytest.approx(last, abs=1e-6)
    assert last >= 0.7
    assert course.log("server").count("Final evaluation is finished") == 1


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ({}, None),
        ({"Results_raw": {"test_acc": [0.1, 0.4], "test_loss": [2.0, 1.0]}}, 0.4),
        ({"Results_raw": {"test_acc": [[0.1, 0.9]]}, "Results_avg": {"val_acc": [0.3]}}, 0.3),
        ({"Results_weighted_avg": {"test_acc": [0.5]}, "Results_avg": {"test_acc": [0.6]}}, 0.5),
        ({"Results_weighted_avg": {"test_loss": [0.5]}}, None),
    ],
)
def test_the_latest_accuracy(history: dict[str, dict[str, list[float]]], expected: float | None) -> None:
    assert latest_accuracy(history) == expected
