"""Models: parameter names as upstream's, gradients as numeric differences, steps as torch's SGD."""

from __future__ import annotations

import numpy as np
import pytest

from fedsim_runner.participant.exit_errors import ParticipantError
from fedsim_runner.participant.light.models import LogisticRegression, Model, MultilayerPerceptron, load_parameters
from fedsim_runner.participant.light.settings import parse_settings
from fedsim_runner.participant.light.shards import Split
from fedsim_runner.participant.light.trainer import Trainer, _cross_entropy
from tests.unit.participant.helpers import CONFIG, merged

RNG = np.random.default_rng(3)
X = RNG.normal(size=(7, 5)).astype(np.float32)
Y = RNG.integers(0, 3, 7)


def models() -> list[Model]:
    return [LogisticRegression(5, 3, RNG), MultilayerPerceptron([5, 6, 4, 3], 0.0, True, RNG)]


def test_names_of_federatedscope() -> None:
    lr, mlp = models()
    assert set(lr.parameters) == {"fc.weight", "fc.bias"}
    assert set(mlp.parameters) == {
        f"{kind}.{layer}.{part}" for kind in ("linears", "norms") for layer in range(3) for part in ("weight", "bias")
    }
    assert mlp.parameters["linears.1.weight"].shape == (4, 6)


def test_decay_leaves_the_unused_layer_alone() -> None:
    made = trainer(
        model={"type": "mlp", "layer": 2, "hidden": 4},
        train={"optimizer": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.5}},
    )
    before = {name: value.copy() for name, value in made.model.parameters.items()}
    made.train()
    moved = {name for name, value in made.model.parameters.items() if not np.array_equal(value, before[name])}
    assert moved == set(before) - {"norms.1.weight", "norms.1.bias"}


@pytest.mark.parametrize("model", models(), ids=["lr", "mlp"])
def test_gradients(model: Model) -> None:
    def loss() -> float:
        return float(_cross_entropy(model.forward(X.astype(np.float64), training=True), Y)[0].mean())

    model.parameters.update({name: value.astype(np.float64) for name, value in model.parameters.items()})
    _, gradient, _ = _cross_entropy(model.forward(X.astype(np.float64), training=True), Y)
    gradients = model.backward(gradient / len(Y))
    # FederatedScope's last normalisation is never applied: without a gradient torch's optimizer leaves it alone.
    assert set(model.parameters) - set(gradients) <= {"norms.2.weight", "norms.2.bias"}
    for name, value in ((name, model.parameters[name]) for name in gradients):
        for index in list(np.ndindex(value.shape))[:6]:
            kept, step = value[index], 1e-6
            value[index] = kept + step
            above = loss()
            value[index] = kept - step
            below = loss()
            value[index] = kept
            assert gradients[name][index] == pytest.approx((above - below) / (2 * step), abs=1e-6)


def trainer(**over: object) -> Trainer:
    config = merged(CONFIG, {"federate": {"client_num": 1}, "data": {"file_path": "x"}, "model": {"out_channels": 3}})
    return Trainer(parse_settings(merged(config, over)), {"train": Split(X, Y)})


def test_sgd_with_momentum_and_decay() -> None:
    made = trainer(
        train={"local_update_steps": 2, "optimizer": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}},
        dataloader={"batch_size": 7, "shuffle": False},
    )
    weight, velocity = made.model.parameters["fc.weight"].copy(), 0.0
    bias, bias_velocity = made.model.parameters["fc.bias"].copy(), 0.0
    for _ in range(2):
        gradient = _cross_entropy(X @ weight.T + bias, Y)[1] / 7
        velocity = 0.9 * velocity + gradient.T @ X + 0.01 * weight
        bias_velocity = 0.9 * bias_velocity + gradient.sum(axis=0) + 0.01 * bias
        weight, bias = weight - 0.1 * velocity, bias - 0.1 * bias_velocity
    seen, results = made.train()
    assert (seen, results["train_total"]) == (14, 14)
    np.testing.assert_allclose(made.model.parameters["fc.weight"], weight, rtol=1e-5)
    np.testing.assert_allclose(made.model.parameters["fc.bias"], bias, rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "steps", "size", "drop_last", "seen"),
    [("epoch", 2, 4, False, 14), ("epoch", 2, 4, True, 8), ("batch", 3, 4, False, 11), ("batch", 1, 4, True, 4)],
)
def test_batches(kind: str, steps: int, size: int, drop_last: bool, seen: int) -> None:
    made = trainer(
        train={"batch_or_epoch": kind, "local_update_steps": steps},
        dataloader={"batch_size": size, "drop_last": drop_last},
    )
    assert made.train()[0] == seen


def test_mistakes() -> None:
    with pytest.raises(ParticipantError, match="no batch of 8"):
        trainer(dataloader={"batch_size": 8, "drop_last": True}).train()
    with pytest.raises(ParticipantError, match=r"model\.out_channels is 2"):
        trainer(model={"out_channels": 2})
    model = models()[0]
    with pytest.raises(ParticipantError, match=r"lacks fc\.bias"):
        load_parameters(model, {"fc.weight": model.parameters["fc.weight"]})
    with pytest.raises(ParticipantError, match="has shape"):
        load_parameters(model, {**model.parameters, "fc.bias": np.zeros(4, np.float32)})
    with pytest.raises(ParticipantError, match="batch of one"):
        models()[1].forward(X[:1], training=True)
