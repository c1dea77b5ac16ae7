"""FederatedScope's YAML: upstream's defaults apply, and everything unsupported is refused by name, all together."""

from __future__ import annotations

from typing import Any

import pytest

from fedsim_runner.participant.exit_errors import UnsupportedError
from fedsim_runner.participant.light.settings import parse_settings
from tests.unit.participant.helpers import CONFIG, merged

GOOD = merged(CONFIG, {"federate": {"client_num": 4}, "distribute": {"role": "client"}, "data": {"file_path": "x.npz"}})


def test_defaults_are_upstreams() -> None:
    settings = parse_settings(GOOD)
    assert (settings.sample_client_num, settings.eval_splits) == (4, ("test", "val"))
    assert (settings.hidden, settings.layers, settings.dropout) == (256, 2, 0.5)
    assert (settings.momentum, settings.weight_decay, settings.grad_clip) == (0.0, 0.0, -1.0)
    assert (settings.patience, settings.delta, settings.improve_mode) == (5, 0.0, "best")
    assert (settings.shuffle, settings.drop_last) == (True, False)
    assert settings.report == ("weighted_avg", "avg", "fairness", "raw")


@pytest.mark.parametrize(
    ("federate", "asked"),
    [
        ({"sample_client_rate": 0.5}, 2),
        ({"sample_client_rate": 0.1}, 1),
        ({"sample_client_rate": 0.5, "sample_client_num": 3}, 2),  # as FederatedScope has it
        ({"sample_client_rate": 2}, 4),
        ({"sample_client_num": 3}, 3),
        ({"sample_client_num": 0}, 4),
    ],
)
def test_sampling(federate: dict[str, Any], asked: int) -> None:
    assert parse_settings(merged(GOOD, {"federate": federate})).sample_client_num == asked


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ({"asyn": {"use": True}}, "asyn.use: the light engine does False, not True"),
        ({"model": {"type": "convnet2"}}, "model.type: the light engine does 'lr' or 'mlp', not 'convnet2'"),
        ({"federate": {"method": "FedProx"}}, "federate.method"),
        ({"criterion": {"type": "MSELoss"}}, "criterion.type"),
        ({"train": {"optimizer": {"type": "Adam"}}}, "train.optimizer.type"),
        ({"train": {"optimizer": {"momentun": 0.9}}}, 'did you mean "train.optimizer.momentum"'),
        ({"quantization": {"method": "uniform"}}, "quantization.method"),
        ({"train": {"local_update_steps": "3"}}, "train.local_update_steps: '3' is not of type int"),
        ({"model": {"hidden": {}}}, "model.hidden: {} is not of type int"),
        ({"train": {"local_update_steps": True}}, "train.local_update_steps: True is not of type int"),
        ({"federate": {"sample_client_num": 5}}, "federate.sample_client_num: more than"),
        ({"eval": {"metrics": ["roc_auc"]}}, "eval.metrics"),
        ({"distribute": {"data_idx": 3}}, "distribute.data_idx"),
        ({"model": {"dropout": 1}}, "model.dropout"),
        ({"model": {"input_shape": ["a"]}}, "model.input_shape: ['a'] is not a list of whole numbers"),
        ({"train": {"optimizer": {"momentum": -1}}}, "train.optimizer.momentum: -1 is below 0"),
        ({"early_stop": {"patience": -1}}, "early_stop.patience: -1 is below 0"),
        ({"backend": "tensorflow"}, "backend: the light engine does 'torch', not 'tensorflow'"),
        ({"eval": {"best_res_update_round_wise_key": "accuracy"}}, "'accuracy' is not a result"),
        ({"train": {"optimizer": {"lr": float("nan")}}}, "train.optimizer.lr: nan is not above 0"),
    ],
)
def test_refused_by_name(over: dict[str, Any], expected: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        parse_settings(merged(GOOD, over))
    assert expected in str(caught.value)


def test_all_problems_together() -> None:
    with pytest.raises(UnsupportedError) as caught:
        parse_settings(merged(GOOD, {"asyn": {"use": True}, "federate": {"use_ss": True}, "model": {"type": "gcn"}}))
    for key in ("asyn.use", "federate.use_ss", "model.type"):
        assert key in str(caught.value)


def test_defaults_that_this_engine_does_not_support() -> None:
    tree = {key: value for key, value in GOOD.items() if key != "criterion"}
    with pytest.raises(UnsupportedError, match=r"criterion\.type: .* not 'MSELoss' \(FederatedScope's default\)"):
        parse_settings(tree)
