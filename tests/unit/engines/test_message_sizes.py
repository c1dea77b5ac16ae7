"""The sizes of messages as planned, against messages as they are encoded."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedsim_runner.contract.errors import FedsimError
from fedsim_runner.engines.course_messages import expected_messages
from fedsim_runner.engines.engine_values import ModelQuestion
from fedsim_runner.engines.federatedscope import model_question
from fedsim_runner.engines.federatedscope.course_facts import Tree
from fedsim_runner.engines.federatedscope.model_messages import message_sizes
from fedsim_runner.engines.federatedscope.user_settings import UserSettings
from fedsim_runner.engines.model_shapes import Tensor
from fedsim_runner.engines.protocol import engine
from fedsim_runner.participant.light import wire
from fedsim_runner.participant.light.models import LogisticRegression, MultilayerPerceptron
from fedsim_runner.participant.tensors import encode_parameters
from fedsim_runner.plan.model import MessageSizes
from fedsim_runner.plan.placement import make_plan
from tests.builders import experiment, lab_host
from tests.federatedscope import PYTHON, runnable_checkout


def sizes_of(config: Mapping[str, Any], **changes: Any) -> MessageSizes:
    study = experiment()
    study = replace(study, config={**study.config, **config}, **changes)
    found = expected_messages(make_plan(study, [lab_host()], "study"))
    assert found is not None
    return found


@pytest.mark.parametrize("kind", ["lr", "mlp"])
def test_what_the_light_engine_sends(kind: str) -> None:
    sizes = sizes_of({"model": {"type": kind, "out_channels": 10, "hidden": 200, "layer": 3}})
    rng = np.random.default_rng(0)
    model = (
        LogisticRegression(64, 10, rng) if kind == "lr" else MultilayerPerceptron([64, 200, 200, 10], 0.5, True, rng)
    )
    lists = {name: value.tolist() for name, value in model.parameters.items()}
    sent = len(wire.encode(wire.Message("model_para", 0, [1], 0, encode_parameters(model.parameters))))
    finish = len(wire.encode(wire.Message("finish", 0, [1], 0, lists)))
    assert sizes.numbers == sum(value.size for value in model.parameters.values())
    assert sizes.to_client == sizes.from_client == pytest.approx(sent, rel=0.03, abs=1500)
    assert sizes.finish == sizes.evaluate == pytest.approx(finish, rel=0.03, abs=500)


def test_only_clients_that_evaluate_get_the_model_for_it() -> None:
    federate = {"total_round_num": 1, "make_global_eval": True}
    assert sizes_of({"federate": federate}).evaluate == 0


def test_a_model_that_no_message_holds_is_refused() -> None:
    model = {"type": "mlp", "out_channels": 10, "hidden": 9000, "layer": 3}
    with pytest.raises(FedsimError, match=r"model: the model has .* numbers, which are .* in the largest message"):
        sizes_of({"model": model})


def test_federatedscopes_limit_can_be_set() -> None:
    tree = Tree({"model": {"type": "lr"}, "distribute": {"grpc_max_receive_message_length": 1000}})
    sizes = message_sizes(tree, (150,))
    assert sizes is not None
    assert sizes.limit == 1000 < sizes.largest
    assert sizes.limit_key == "distribute.grpc_max_receive_message_length"


def test_what_is_not_known_is_not_guessed() -> None:
    assert message_sizes(Tree({"model": {"type": "of_my_own"}}), (64,)) is None
    assert message_sizes(Tree({"model": {"type": "lr"}}), None) is None
    assert message_sizes(Tree({"model": {"type": "convnet2"}}), (64,)) is None


def test_the_shape_in_the_configuration_counts_where_the_data_are_not_at_hand() -> None:
    tree = Tree({"model": {"type": "lr", "out_channels": 10, "input_shape": [1, 64]}})
    sizes = message_sizes(tree, None)
    assert sizes is not None
    assert sizes.numbers == 650


def test_personal_parts_do_not_return_and_methods_without_a_model_send_none() -> None:
    def sizes(**config: Any) -> MessageSizes:
        found = message_sizes(Tree({"model": {"type": "mlp", "out_channels": 10}, **config}), (64,))
        assert found is not None
        return found

    whole = sizes()
    assert whole.from_client < whole.to_client  # running statistics stay with the client
    personal = sizes(personalization={"local_param": ["norms"]})
    assert personal.to_client == whole.to_client
    assert personal.from_client < whole.from_client
    shared = sizes(personalization={"share_non_trainable_para": True})
    assert shared.from_client == shared.to_client
    assert sizes(federate={"method": "local"}).to_client == 0
    assert sizes(model={"type": "mlp", "out_channels": 10, "model_num_per_trainer": 3}).numbers == 3 * whole.numbers


_PROGRAM = """
import json, sys
from federatedscope.core.configs.config import global_cfg
from federatedscope.core.auxiliaries.model_builder import get_model
found = []
for model, shape in json.load(sys.stdin):
    cfg = global_cfg.clone()
    for key, value in model.items():
        setattr(cfg.model, key, value)
    cfg.model.input_shape = tuple(shape)
    state = get_model(cfg.model).state_dict()
    found.append(sum(value.numel() for value in state.values()))
print(json.dumps(found))
"""


@pytest.mark.lengthy
def test_federatedscopes_own_models_have_as_many_numbers() -> None:
    checkout = runnable_checkout()
    cases: list[tuple[dict[str, Any], list[int]]] = [
        ({"type": "lr", "out_channels": 10}, [8, 64]),
        ({"type": "mlp", "out_channels": 10, "hidden": 33, "layer": 4}, [8, 64]),
        ({"type": "convnet2", "out_channels": 10, "hidden": 50}, [8, 1, 8, 9]),
        ({"type": "convnet5", "out_channels": 7, "hidden": 50}, [8, 3, 32, 64]),
        ({"type": "vgg11", "out_channels": 10, "hidden": 64}, [8, 3, 32, 32]),
        ({"type": "lstm", "out_channels": 80, "in_channels": 80, "hidden": 64, "embed_size": 8}, [8, 80]),
        ({"type": "quadratic"}, [8, 5]),
    ]
    answer = subprocess.run(
        [PYTHON, "-c", _PROGRAM],
        input=json.dumps(cases),
        env={**os.environ, "PYTHONPATH": str(checkout)},
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    planned = [message_sizes(Tree({"model": model}), shape[1:]) for model, shape in cases]
    assert [sizes.numbers for sizes in planned if sizes] == json.loads(answer.stdout.splitlines()[-1])


def test_a_model_of_the_users_own_is_asked_for() -> None:
    asked: list[Sequence[int]] = []

    def ask(shape: Sequence[int]) -> list[Tensor] | None:
        asked.append(shape)
        return [Tensor("w", (3, 4)), Tensor("mean", (4,), trained=False)]

    sizes = message_sizes(Tree({"model": {"type": "mine"}, "dataloader": {"batch_size": 16}}), (1, 8, 8), ask)
    assert asked == [(16, 1, 8, 8)]
    assert sizes is not None
    assert sizes.numbers == 16
    assert sizes.from_client < sizes.to_client


CONTRIB = """
import torch
from federatedscope.register import register_model


def build(config, input_shape):
    if config.type == "studynet":
        frozen = torch.nn.Linear(config.hidden, config.out_channels)
        frozen.requires_grad_(False)
        return torch.nn.Sequential(torch.nn.Linear(input_shape[-1], config.hidden), frozen)


register_model("studynet", build)
"""


@pytest.mark.lengthy
def test_a_contrib_model_is_built_by_federatedscope_whatever_another_lacks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    checkout = runnable_checkout()
    package = tmp_path / "federatedscope"
    package.mkdir()
    for entry in (checkout / "federatedscope").iterdir():
        if entry.name == "contrib":
            shutil.copytree(entry, package / "contrib")
        else:
            (package / entry.name).symlink_to(entry)
    (package / "contrib" / "model" / "aaa.py").write_text("import no_such_package\n", encoding="utf-8")
    (package / "contrib" / "model" / "studynet.py").write_text(CONTRIB, encoding="utf-8")
    monkeypatch.setattr(model_question, "user_settings", lambda: UserSettings(python=PYTHON))
    model = {"type": "studynet", "hidden": 5, "out_channels": 3}
    assert model_question.ask_for_tensors(model, (8, 4), tmp_path) == [
        Tensor("0.weight", (5, 4)),
        Tensor("0.bias", (5,)),
        Tensor("1.weight", (3, 5), trained=False),
        Tensor("1.bias", (3,), trained=False),
    ]
    assert model_question.ask_for_tensors({"type": "no_such_model"}, (8, 4), tmp_path) is None


@pytest.mark.process
def test_without_a_configured_interpreter_nobody_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(model_question, "user_settings", lambda: UserSettings())
    assert model_question.ask_for_tensors({"type": "mine"}, (8, 4), tmp_path) is None
    broken = UserSettings(python=str(tmp_path / "no-python"))
    monkeypatch.setattr(model_question, "user_settings", lambda: broken)
    assert model_question.ask_for_tensors({"type": "mine"}, (8, 4), tmp_path) is None


def test_numbers_of_a_model_may_be_written_as_text_or_with_a_fraction() -> None:
    plain = {"type": "mlp", "hidden": 32, "layer": 2, "out_channels": 10}
    written = {"type": "mlp", "hidden": "32", "layer": 2.0, "out_channels": "10"}
    expected = message_sizes(Tree({"model": plain}), (64,))
    assert expected is not None and expected.numbers == 64 * 32 + 32 + 4 * 32 + 1 + 32 * 10 + 10 + 4 * 10 + 1
    assert message_sizes(Tree({"model": written}), (64,)) == expected


def test_a_model_without_units_has_a_size() -> None:
    sizes = message_sizes(Tree({"model": {"type": "mlp", "hidden": 0, "out_channels": 10}}), (64,))
    assert sizes is not None and sizes.numbers == 1 + 10 + 4 * 10 + 1


def test_no_list_is_made_of_more_layers_than_there_can_be() -> None:
    model = {"type": "mlp", "layer": 10**9}
    assert message_sizes(Tree({"model": model}), (64,)) is None
    assert engine("light").message_sizes(ModelQuestion({"model": model}, (64,))) is None
