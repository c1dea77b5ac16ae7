"""Saved models pass from one engine to the other, in FederatedScope's own format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedsim_runner.participant.model_file import load_model, write_model
from tests.unit.participant.federatedscope.helpers import TorchCourse, run_python
from tests.unit.participant.helpers import Course, merged

pytestmark = pytest.mark.federatedscope

MLP: dict[str, Any] = {
    "model": {"type": "mlp", "hidden": 16, "layer": 2},
    "dataloader": {"batch_size": 10, "drop_last": True},
}
# So small a step that a round leaves the model as it was.
STILL: dict[str, Any] = {**MLP, "train": {"optimizer": {"lr": 1e-9}}}


def finish(course: Course) -> Path:
    """Run a course to its end; return the model that it saved."""
    try:
        course.start()
        course.open_gate()
        for name in course.names:
            assert course.wait(name, 400) == 0, course.said(name)
    finally:
        course.end()
    return course.folder / "server" / "model.pt"


def saving(rounds: int, restored: Path | None = None) -> dict[str, Any]:
    federate = {"total_round_num": rounds, "save_to": "model.pt"}
    return {"federate": federate if restored is None else {**federate, "restore_from": str(restored)}}


def test_models_pass_from_one_engine_to_the_other(
    torch_course: Callable[..., TorchCourse], tmp_path: Path, source: Path
) -> None:
    by_light = finish(Course(tmp_path / "light", clients=1, config={**MLP, **saving(4)}))
    by_torch = finish(torch_course(clients=1, config={**STILL, **saving(1, by_light)}))
    by_light_again = finish(Course(tmp_path / "again", clients=1, config={**STILL, **saving(1, by_torch)}))
    first, second, third = (load_model(path).parameters for path in (by_light, by_torch, by_light_again))
    assert sorted(first) == sorted(second) == sorted(third)
    for name, value in first.items():
        np.testing.assert_allclose(second[name], value, atol=1e-6, err_msg=name)
        np.testing.assert_allclose(third[name], value, atol=1e-6, err_msg=name)
    # torch's own reader, which unpickles nothing but tensors, either.
    code = "import sys, torch; print(sorted(torch.load(sys.argv[1], weights_only=True)['model']))"
    read = run_python(source, code, str(by_light))
    assert read.stdout.strip() == str(sorted(first)), read.stderr


@pytest.mark.parametrize(
    ("settings", "rounds"),
    [
        # The layers of normalisation stay on the devices; and FederatedScope's own count is wrong after an early stop.
        (
            {
                "personalization": {"local_param": ["norms"]},
                "early_stop": {"patience": 1, "delta": 1000.0},
                "federate": {"total_round_num": 9, "make_global_eval": False, "save_to": "model.pt"},
            },
            range(2, 9),
        ),
        (
            {
                "asyn": {"use": True, "min_received_num": 1, "time_budget": 100},
                "federate": {"total_round_num": 3, "method": "ditto", "make_global_eval": False, "save_to": "model.pt"},
            },
            [3],
        ),
    ],
    ids=["fedbn that stops early", "asynchronous ditto"],
)
def test_methods_whose_global_model_is_not_all(
    settings: dict[str, Any], rounds: list[int], torch_course: Callable[..., TorchCourse]
) -> None:
    model = load_model(finish(torch_course(config=merged(MLP, settings))))
    assert model.rounds in rounds
    assert model.shapes["norms.1.weight"] == (10,)
    assert all(np.isfinite(value).all() for value in model.parameters.values())


def test_a_model_that_does_not_fit_is_refused(torch_course: Callable[..., TorchCourse], tmp_path: Path) -> None:
    odd = tmp_path / "odd.pt"
    odd.write_bytes(write_model({"fc.weight": np.zeros((10, 3), np.float32)}))
    course = torch_course(clients=1, config={"federate": {"restore_from": str(odd)}})
    course.go("server")
    assert course.wait("server", 400) == 1
    assert f"{odd} does not fit the model: Error(s) in loading state_dict" in course.record("server")["error"]
