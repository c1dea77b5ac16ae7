"""Rules: the loss, the model's outputs and the metrics must fit the labels, which are classes or numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator

from fedsim_runner.catalog.losses import CLASS_LOSSES, NUMBER_LOSSES, OTHER_INPUTS

from .course_facts import Course, Refusal, Tree

# core/monitors/metric_calculator.py: they count classes, or rank them.
CLASS_METRICS = ("acc", "correct")
_CRASH_ON_NUMBERS = ("f1", "ap", "roc_auc")
# nlp/loss/character_loss.py
LETTERS = 80
# Models whose last layer has model.out_channels outputs.
_OUTPUTS = ("lr", "mlp", "convnet2", "convnet5", "vgg11", "lstm")


def criterion(tree: Tree, course: Course) -> Iterator[Refusal]:
    """The loss must compare the model's outputs with what the labels are; other data have trainers of their own."""
    if course.other_data:
        return
    kind = str(tree["criterion.type"])
    given = "" if tree.is_written("criterion.type") else ", FederatedScope's default,"
    if kind in OTHER_INPUTS:
        reason = f"{kind} takes more than outputs and labels, which is all that FederatedScope gives it"
        yield Refusal("criterion.type", reason, "choose another")
    elif kind == "BCELoss" and tree.text("model.type") in _OUTPUTS:
        reason = f"BCELoss takes outputs between 0 and 1, and those of {tree['model.type']} are any numbers"
        yield Refusal("criterion.type", reason, "write BCEWithLogitsLoss")
    elif kind == "character_loss" and tree.number("model.out_channels") != LETTERS:
        reason = f"character_loss weighs {LETTERS} letters, and the model has {tree['model.out_channels']} outputs"
        yield Refusal("model.out_channels", reason, f"write {LETTERS}")
    elif course.target_shape is not None:
        yield from _of_numbers(tree, kind, course.target_shape)
    elif course.classes is not None:
        if kind in NUMBER_LOSSES:
            reason = (
                f"{kind}{given} compares outputs with numbers, and the labels are {course.classes} classes: their "
                "numbers would be regressed, or training crashes"
            )
            hint = "write CrossEntropyLoss; data.targets: numbers in the experiment file regresses csv and npz labels"
            yield Refusal("criterion.type", reason, hint)
        elif "regression" in tree.text("model.task"):
            counting = [name for name in tree.names("eval.metrics") if name in (*CLASS_METRICS, *_CRASH_ON_NUMBERS)]
            if counting:
                reason = f"FederatedScope then predicts no classes, and crashes when it counts {' and '.join(counting)}"
                yield Refusal("model.task", reason, "write classification")
    else:
        yield from _of_unknown_labels(tree, kind, given)


def areas(tree: Tree, course: Course) -> Iterator[Refusal]:
    """FederatedScope gives scikit-learn a probability for each class, and of two classes that takes only one."""
    classifies = course.target_shape is None and "regression" not in tree.text("model.task")
    if classifies and tree.number("model.out_channels") == 2 and "roc_auc" in tree.names("eval.metrics"):
        reason = "FederatedScope's roc_auc crashes with two classes (ValueError: y should be a 1d array)"
        yield Refusal("eval.metrics", reason, "remove it; acc, correct and f1 work")


def graphs(tree: Tree, course: Course) -> Iterator[Refusal]:
    """Labels of whole graphs are classes, unless the task is regression. Each client may have a task of its own."""
    for one in course.clients if course.other_data else ():
        own = Tree(one.config)
        kind = str(own["criterion.type"])
        if own.text("trainer.type") != "graphminibatch_trainer" or "regression" in own.text("model.task"):
            continue
        if kind in NUMBER_LOSSES:
            given = "" if own.is_written("criterion.type") else ", FederatedScope's default,"
            reason = (
                f"{kind}{given} compares outputs with numbers, and graphminibatch_trainer makes labels classes, unless "
                f"model.task says regression: {one.name} crashes"
            )
            yield Refusal("criterion.type", reason, "write CrossEntropyLoss, for each device where they differ")
            return


def _of_numbers(tree: Tree, kind: str, shape: tuple[int, ...]) -> Iterator[Refusal]:
    """``shape``: of one sample's targets."""
    outputs, task = tree.number("model.out_channels"), tree.text("model.task")
    numbers = "one number" if math.prod(shape) == 1 else f"numbers of shape {' x '.join(map(str, shape))}"
    known = tree.text("model.type") in _OUTPUTS
    if kind in CLASS_LOSSES and shape == (1,):
        hint = "write MSELoss to regress them; data.targets: classes in the experiment file makes them classes"
        yield Refusal("criterion.type", f"{kind} needs classes, and the labels are numbers", hint)
        return
    if kind in NUMBER_LOSSES and known and shape != (outputs,):
        reason = f"the model has {outputs:g} outputs, and a sample has {numbers} as label: {kind} cannot compare them"
        if len(shape) == 1:
            yield Refusal("model.out_channels", reason, f"write {shape[0]}")
        else:
            yield Refusal("model.type", reason, "choose a model with outputs of this shape")
        return
    regresses = "regression" in task
    # FederatedScope takes the largest output for the predicted class: one number for each sample, of which labels that
    # are rows or matrices differ.
    if not regresses and shape != (1,) and known:
        reason = f"FederatedScope's evaluation compares {numbers} with one class and crashes (Shape not match!)"
        yield Refusal("model.task", reason, "write regression")
    for metric in tree.names("eval.metrics"):
        ranks = metric.startswith("hits@")
        if metric in _CRASH_ON_NUMBERS or ranks or (metric in CLASS_METRICS and regresses):
            yield Refusal("eval.metrics", f"{metric} needs classes, and the labels are numbers", "mse or rmse")


def _of_unknown_labels(tree: Tree, kind: str, given: str) -> Iterator[Refusal]:
    outputs = tree.number("model.out_channels")
    # Where batch and outputs have the same size, the wrong shapes happen to fit.
    if kind in NUMBER_LOSSES and outputs > 1 and outputs != tree.number("dataloader.batch_size"):
        yield Refusal(
            "criterion.type",
            f"{kind}{given} cannot compare {outputs:g} outputs with class labels: training crashes",
            "write CrossEntropyLoss",
        )
