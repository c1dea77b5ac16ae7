"""Losses, outputs and metrics that do not fit the labels are refused; what was seen to run is accepted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fedsim_runner.engines.engine_values import SplitData
from fedsim_runner.engines.federatedscope.course_facts import Tree
from fedsim_runner.engines.federatedscope.course_notes import notes, own_worker
from fedsim_runner.engines.federatedscope.refusals import Course
from tests.unit.engines.federatedscope.test_refusals import course, refusals, tree_with

REGRESSION: dict[str, Any] = {
    "model.out_channels": 1,
    "model.task": "regression",
    "criterion.type": "MSELoss",
    "eval.metrics": ["mse"],
}
TEXT: dict[str, Any] = {"model.type": "lstm", "model.in_channels": 80, "trainer.type": "nlptrainer"}


def of_numbers(changes: dict[str, Any], shape: tuple[int, ...] = (1,)) -> Course:
    """A course on data whose samples have targets of this shape."""
    return replace(course({**REGRESSION, **changes}), classes=None, target_shape=shape)


def said(judged: Course) -> list[str]:
    return [f"{refusal.key}: {refusal.reason} ({refusal.hint})" for refusal in refusals(judged)]


@pytest.mark.parametrize(
    ("changes", "shape"),
    [
        ({}, (1,)),
        ({"model.task": None, "eval.metrics": []}, (1,)),  # FederatedScope's own example on toy
        ({"criterion.type": None}, (1,)),
        ({"criterion.type": "BCEWithLogitsLoss"}, (1,)),
        ({"criterion.type": "somebodys_own"}, (1,)),
        ({"model.out_channels": 3}, (3,)),
        ({"model.out_channels": 3, "criterion.type": "CrossEntropyLoss"}, (3,)),  # probabilities of classes
        ({"model.type": "somebodys_own", "model.task": None}, (4, 4)),
        ({"model.type": "quadratic", "criterion.type": "L1Loss", "model.task": None, "eval.metrics": []}, ()),
    ],
)
def test_numbers_that_fit_are_accepted(changes: dict[str, Any], shape: tuple[int, ...]) -> None:
    judged = of_numbers(changes, shape)
    if changes.get("model.type") == "quadratic":
        judged = replace(judged, shape=(2, 2))
    assert said(judged) == []


@pytest.mark.parametrize(
    ("changes", "shape", "expected"),
    [
        ({"criterion.type": "CrossEntropyLoss"}, (1,), "criterion.type: CrossEntropyLoss needs classes"),
        ({"criterion.type": "GaussianNLLLoss"}, (1,), "criterion.type: GaussianNLLLoss takes more than outputs and"),
        ({"criterion.type": "BCELoss"}, (1,), "criterion.type: BCELoss takes outputs between 0 and 1"),
        ({"model.out_channels": 2}, (1,), "model.out_channels: the model has 2 outputs, and a sample has one number"),
        ({}, (3,), "model.out_channels: the model has 1 outputs, and a sample has numbers of shape 3 as label"),
        ({}, (2, 2), "model.type: the model has 1 outputs, and a sample has numbers of shape 2 x 2 as label"),
        ({"model.out_channels": 3, "model.task": None}, (3,), "model.task: FederatedScope's evaluation compares"),
        ({"eval.metrics": ["acc"]}, (1,), "eval.metrics: acc needs classes, and the labels are numbers (mse or rmse)"),
        ({"eval.metrics": ["f1"], "model.task": None}, (1,), "eval.metrics: f1 needs classes"),
        ({"eval.metrics": ["hits@5"], "model.task": None}, (1,), "eval.metrics: hits@5 needs classes"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(changes: dict[str, Any], shape: tuple[int, ...], expected: str) -> None:
    found = said(of_numbers(changes, shape))
    assert len(found) == 1
    assert found[0].startswith(expected)


@pytest.mark.parametrize(
    ("changes", "refused"),
    [({"model.out_channels": 2}, True), ({"model.out_channels": 3}, False), ({"model.task": "regression"}, False)],
)
def test_the_area_under_the_curve_of_two_classes(changes: dict[str, Any], refused: bool) -> None:
    judged = course({"eval.metrics": ["roc_auc"], "model.out_channels": 2} | changes)
    found = [one for one in said(judged) if one.startswith("eval.metrics: FederatedScope's roc_auc crashes")]
    assert len(found) == refused


def test_the_default_loss_on_classes() -> None:
    found = said(course({"criterion.type": None, "model.out_channels": None}))
    assert found == [
        "criterion.type: MSELoss, FederatedScope's default, compares outputs with numbers, and the labels are "
        "10 classes: their numbers would be regressed, or training crashes (write CrossEntropyLoss; data.targets: "
        "numbers in the experiment file regresses csv and npz labels)"
    ]


@pytest.mark.parametrize(
    ("changes", "shape", "largest", "expected"),
    [
        ({}, (12,), 79, None),
        ({"model.in_channels": None}, (12,), 79, "model.in_channels: 0 (FederatedScope's default) is too small a voc"),
        ({"model.in_channels": 79}, (12,), 79, "model.in_channels: 79 is too small a vocabulary: the text has numbers"),
        ({}, (12,), None, "model.type: lstm takes text, which is one row of whole numbers per sample, and a sample"),
        ({}, (12, 2), 79, "model.type: lstm takes text, which is one row of whole numbers per sample, and a sample"),
        ({"model.embed_size": 0}, (12, 80), None, None),
        ({"model.embed_size": 0}, (12, 81), None, "model.type: without an embedding lstm takes rows of model.in_cha"),
        ({"criterion.type": "character_loss"}, (12,), 79, "model.out_channels: character_loss weighs 80 letters"),
        ({"criterion.type": "character_loss", "model.out_channels": 80}, (12,), 79, None),
        ({"model.type": "lr"}, (12,), 79, "model.type: lr cannot multiply samples of whole numbers"),
        ({"model.type": "quadratic", "criterion.type": "own"}, (12,), None, "model.type: quadratic takes square mat"),
    ],
)
def test_text_and_matrices(
    changes: dict[str, Any], shape: tuple[int, ...], largest: int | None, expected: str | None
) -> None:
    found = said(replace(course({**TEXT, **changes}, shape=shape), largest=largest))
    if expected is None:
        assert found == []
    else:
        assert len(found) == 1
        assert found[0].startswith(expected)


@pytest.mark.parametrize(
    ("changes", "own_server", "expected"),
    [
        ({"model.type": "mlp", "federate.make_global_eval": True}, True, "normalisation statistics that were never"),
        ({"model.type": "mlp", "federate.make_global_eval": True}, False, None),
        ({"model.type": "mlp", "federate.make_global_eval": False}, True, None),
        ({"model.type": "mlp", "federate.make_global_eval": True, "model.layer": 1}, True, None),
        (
            {"model.type": "mlp", "federate.make_global_eval": True, "personalization.share_non_trainable_para": True},
            True,
            None,
        ),
        ({"federate.method": "pFedMe"}, True, "= 0.01 of the way"),
        ({"federate.method": "pFedMe", "personalization.regular_weight": 15}, True, None),
    ],
)
def test_what_a_user_should_know(changes: dict[str, Any], own_server: bool, expected: str | None) -> None:
    found = list(notes(Tree(tree_with(changes)), own_server, SplitData({}, classes=10)))
    assert len(found) == (expected is not None)
    assert expected is None or expected in found[0]


def test_accuracy_of_numbers_means_nothing() -> None:
    (note,) = notes(Tree(tree_with({})), True, SplitData({}, target_shape=(1,)))
    assert note.startswith("acc and correct count classes, and the labels are numbers")


def test_text_is_numbered_from_zero() -> None:
    text = replace(course(TEXT | {"model.out_channels": 10}), shape=(80,), largest=79, smallest=0)
    assert said(text) == []
    (refused,) = said(replace(text, smallest=-1))
    assert refused.startswith("model.type: lstm takes words or letters as numbers from 0, and the text has -1")


def test_classes_are_not_predicted_in_a_regression() -> None:
    (refused,) = said(course({"model.task": "regression", "eval.metrics": ["acc", "f1"]}))
    assert refused.startswith("model.task: FederatedScope then predicts no classes, and crashes when it counts acc")


@pytest.mark.parametrize(
    ("asyn", "federate", "waits"),
    [
        ({"min_received_num": 2}, {}, None),
        ({"min_received_num": 20}, {}, "min_received_num is 20, and the number of clients asked at a time is 3"),
        ({"min_received_num": 2}, {"sample_client_num": 1}, "clients asked at a time is 1"),
        ({"min_received_num": 20, "min_received_rate": 0.5}, {}, None),
        ({"min_received_num": 20, "use": False}, {}, None),
    ],
)
def test_asynchronous_courses_that_wait_for_all_are_noted(
    asyn: dict[str, Any], federate: dict[str, Any], waits: str | None
) -> None:
    changes = {f"asyn.{key}": value for key, value in ({"use": True} | asyn).items()}
    tree = Tree(tree_with(changes | {f"federate.{key}": value for key, value in federate.items()}))
    said = list(notes(tree, True, SplitData({})))
    assert [waits] == [waits for note in said if waits in note] if waits else not said


@pytest.mark.parametrize(
    ("model", "kept", "said"),
    [
        ("mlp", ["bn", "norms"], False),
        ("lr", ["bn", "norms"], True),
        ("lr", [], False),
        ("somebodys_own", ["bn"], False),
    ],
)
def test_parts_that_a_model_does_not_have_are_noted(model: str, kept: list[str], said: bool) -> None:
    tree = Tree(tree_with({"model.type": model, "personalization.local_param": kept}))
    found = [note for note in notes(tree, False, SplitData({}, 10, (64,))) if "local_param" in note]
    assert (
        found
        == ["personalization.local_param (bn, norms) names no part of lr: clients keep nothing of it to themselves"]
        * said
    )


def test_a_method_of_the_sources_own_is_noted() -> None:
    (note,) = own_worker(Tree({"federate": {"method": "WithStats"}}))
    assert note.startswith("WithStats is a method of the source's own") and "is not checked" in note
    assert not [*own_worker(Tree({"federate": {"method": "FedAvg"}}))] and not [*own_worker(Tree({}))]
