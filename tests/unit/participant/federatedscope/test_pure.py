"""Courses in which all participants run FederatedScope."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.participant.federatedscope.helpers import ROUNDS, TorchCourse
from tests.unit.participant.helpers import supervised

pytestmark = pytest.mark.federatedscope

MODELS = {
    "lr, evaluated by the server": {"federate": {"make_global_eval": True}},
    "lr, evaluated by clients": {"federate": {"make_global_eval": False}},
    # No model is shared: each client goes on with its own.
    "lr, each client for itself": {"federate": {"method": "local", "make_global_eval": False}},
    "mlp": {
        "federate": {"make_global_eval": False},
        "model": {"type": "mlp", "hidden": 32, "dropout": 0.0},
        # Its normalisation cannot take a last batch of one.
        "dataloader": {"batch_size": 16, "drop_last": True},
    },
    # Evaluated by the server: protobuf in pure Python takes half a minute for each evaluate message of such a model.
    "convnet": {"federate": {"make_global_eval": True}, "model": {"type": "convnet2", "hidden": 32}},
}


@pytest.mark.parametrize("kind", MODELS)
def test_finishes_and_learns(torch_course: Callable[..., TorchCourse], kind: str) -> None:
    course = torch_course(config=MODELS[kind])
    if kind == "convnet":
        course.images()
    course.go()
    for name in course.names:
        # A minute and a half of it is protobuf in pure Python, on a machine that does nothing else.
        assert course.wait(name, 400) == 0, course.said(name)
        assert course.record(name)["error"] is None
    supervisor, evaluated = supervised(course)
    assert supervisor.outcome is not None and supervisor.outcome.status == "finished", supervisor.outcome
    assert evaluated == list(range(1, ROUNDS + 1))
    assert supervisor.results["test_acc"] > 0.75
