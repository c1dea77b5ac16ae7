"""Rules: model, loss, batches and results must fit the data that the participants have."""

from __future__ import annotations

import math
from collections.abc import Iterator

from fedsim_runner.catalog.losses import CLASS_LOSSES

from .course_facts import Course, Participant, Refusal, Tree

# core/monitors/metric_calculator.py; others may be registered by the source itself.
_ALWAYS = ("loss", "avg_loss", "total")
_SPLITS = ("train", "val", "test")
# Splits of the testbed's shards where their sizes are not known.
_SERVER_SPLITS = ("test",)
# core/trainers/trainer_pFedMe.py and trainer_Ditto.py
_COUNT_TRAINING_SAMPLES = {"pfedme": "pFedMe", "ditto": "Ditto"}

# Smallest height and width of which the model's pooling layers leave something.
SMALLEST_IMAGES = {"convnet2": 4, "convnet5": 32, "vgg11": 32}
# Models that multiply their samples.
_FRACTIONS = ("lr", "mlp", "quadratic", *SMALLEST_IMAGES)


def data(tree: Tree, course: Course) -> Iterator[Refusal]:
    """The model must fit the data, if those are labelled samples; FederatedScope itself judges others."""
    if course.other_data:
        return
    name, shape = tree.text("model.type"), course.shape
    smallest = SMALLEST_IMAGES.get(name)
    if smallest and tree["model.type"] != name:
        yield Refusal("model.type", f"FederatedScope builds it under the name {name} only", f"write {name}")
    if smallest and shape is not None and (len(shape) != 3 or min(shape[1:]) < smallest):
        shown = " x ".join(map(str, shape))
        yield Refusal(
            "model.type",
            f"{name} needs images of at least {smallest} x {smallest} pixels, and a sample here is {shown}",
            "choose another model or data set",
        )
    if shape is not None:
        yield from _unlike(tree, course, shape)
    labels = tree.number("model.out_channels")
    if course.classes is not None and labels < course.classes and tree["criterion.type"] in CLASS_LOSSES:
        given = "" if tree.is_written("model.out_channels") else " (FederatedScope's default)"
        yield Refusal(
            "model.out_channels",
            f"{labels:g}{given} is less than the {course.classes} classes of the data: training crashes",
            f"write {course.classes}",
        )


def _unlike(tree: Tree, course: Course, shape: tuple[int, ...]) -> Iterator[Refusal]:
    """Samples of another kind than the model takes: text as whole numbers, rows of numbers, matrices."""
    name, largest = tree.text("model.type"), course.largest
    shown = " x ".join(map(str, shape))
    if name in _FRACTIONS and largest is not None:
        hint = "remove data.layout from the experiment file"
        yield Refusal("model.type", f"{name} cannot multiply samples of whole numbers: training crashes", hint)
    elif name == "quadratic" and (len(shape) != 2 or shape[0] != shape[1]):
        hint = "data: {dataset: federatedscope} with federatedscope.config.data.type: quadratic has them"
        yield Refusal("model.type", f"quadratic takes square matrices, and a sample here is {shown}", hint)
    elif name == "lstm" and tree.number("model.embed_size") > 0:
        yield from _text(tree, course, shape, shown)
    elif name == "lstm" and (len(shape) != 2 or largest is not None or tree.number("model.in_channels") != shape[1]):
        reason = f"without an embedding lstm takes rows of model.in_channels numbers, and a sample here is {shown}"
        yield Refusal("model.type", reason, "write model.embed_size for text, or the width of a row")


def _text(tree: Tree, course: Course, shape: tuple[int, ...], shown: str) -> Iterator[Refusal]:
    largest, smallest = course.largest, course.smallest
    if largest is None or len(shape) != 1:
        reason = f"lstm takes text, which is one row of whole numbers per sample, and a sample here is {shown}"
        kind = " of whole numbers" if largest is not None else " of numbers with a fraction"
        yield Refusal("model.type", reason + kind, "choose another model or data set")
    elif smallest is not None and smallest < 0:
        reason = f"lstm takes words or letters as numbers from 0, and the text has {smallest}: training crashes"
        yield Refusal("model.type", reason, "number them from 0")
    elif tree.number("model.in_channels") <= largest:
        given = "" if tree.is_written("model.in_channels") else " (FederatedScope's default)"
        yield Refusal(
            "model.in_channels",
            f"{tree['model.in_channels']}{given} is too small a vocabulary: the text has numbers up to {largest}",
            f"write {largest + 1} or more",
        )


def evaluation(tree: Tree, course: Course) -> Iterator[Refusal]:
    """The result by which rounds are compared must be among the results."""
    key = "eval.best_res_update_round_wise_key"
    chosen = str(tree[key])
    split, _, metric = chosen.partition("_")
    metrics = dict.fromkeys([*_ALWAYS, *tree.names("eval.metrics")])
    if split not in _SPLITS or not metric:
        yield Refusal(key, f"{chosen} does not name a result", f"train_, val_ or test_ and one of {', '.join(metrics)}")
        return
    if metric not in metrics:
        hint = f"add {metric} to eval.metrics, or write one of {', '.join(f'{split}_{name}' for name in metrics)}"
        yield Refusal(key, f"{chosen} is never computed: FederatedScope fails when it starts", hint)
        return
    method = _COUNT_TRAINING_SAMPLES.get(tree.text("federate.method"))
    if method is not None and tree["federate.make_global_eval"] is True and course.own_server:
        reason = f"{method} makes the server crash when it starts: it counts epochs of training samples, and has none"
        yield Refusal("federate.make_global_eval", reason, "write false, so that the clients evaluate")
        return
    splits = tree.names("eval.split")
    default = "" if tree.is_written(key) else " (FederatedScope's default)"
    if tree["federate.make_global_eval"] is True:
        # A server of the light engine does not need this result.
        available = _SERVER_SPLITS if course.server.samples is None else tuple(course.server.samples)
        if course.other_data:  # the server has what FederatedScope gives it in standalone mode
            available = _SPLITS
        usable = [name for name in splits if name in available]
        if course.own_server and not usable:
            reason = f"the server has {', '.join(available) or 'no data'}: it has nothing to evaluate"
            yield Refusal(
                "eval.split", reason, f"write [{', '.join(available)}]" if available else "make_global_eval: false"
            )
        elif course.own_server and split not in usable:
            yield Refusal(
                key,
                f"{chosen}{default} is not among the server's results, which come from {', '.join(usable)} data: it "
                "crashes at the first evaluation",
                f"write {usable[0]}_{metric}",
            )
    elif split not in splits:
        yield Refusal(
            key,
            f"{chosen}{default} is not among the clients' results, as eval.split is {', '.join(splits)}: "
            "FederatedScope crashes at the first evaluation",
            f"write {splits[0]}_{metric}" if splits else "name splits in eval.split",
        )


def batches(tree: Tree, client: Participant) -> Iterator[Refusal]:
    """Shards whose batches make training or evaluation crash."""
    if client.samples is None:
        return
    size, drop = int(tree.number("dataloader.batch_size")), tree["dataloader.drop_last"] is True
    if size < 1:
        return  # reported by another rule
    train = client.samples.get("train", 0)
    if drop and 0 < train < size:
        yield Refusal(
            "dataloader.drop_last",
            f"{client.name} has {train} training samples, less than a batch of {size}: nothing would be left",
            "write false, or a smaller dataloader.batch_size",
        )
    elif _normalises_rows(tree) and not drop and train % size == 1 and _reaches_last_batch(tree, train, size):
        yield Refusal(
            "dataloader.drop_last",
            f"{client.name}'s {train} training samples leave a last batch of one, which the {tree['model.type']}'s "
            "batch normalisation refuses",
            "write true, or another dataloader.batch_size",
        )
    by_clients = tree["federate.make_global_eval"] is not True
    if drop and by_clients and client.engine == "federatedscope":
        yield from _dropped(tree, client, size)


def server_batches(tree: Tree, course: Course) -> Iterator[Refusal]:
    size = int(tree.number("dataloader.batch_size"))
    evaluates = course.own_server and tree["federate.make_global_eval"] is True
    if evaluates and tree["dataloader.drop_last"] is True and course.server.samples is not None and size > 0:
        yield from _dropped(tree, course.server, size)


def _dropped(tree: Tree, participant: Participant, size: int) -> Iterator[Refusal]:
    """FederatedScope drops the last batch of evaluations as well."""
    for split in tree.names("eval.split"):
        samples = (participant.samples or {}).get(split, 0)
        if 0 < samples < size:
            yield Refusal(
                "dataloader.drop_last",
                f"{participant.name} has {samples} {split} samples, less than a batch of {size}: its evaluation would "
                "drop them all and crash",
                "write false, or a smaller dataloader.batch_size",
            )


def _normalises_rows(tree: Tree) -> bool:
    """BatchNorm1d needs two samples in a training batch; one image has many values."""
    return tree.text("model.type") == "mlp" and tree.number("model.layer") >= 2


def _reaches_last_batch(tree: Tree, samples: int, size: int) -> bool:
    if tree["train.batch_or_epoch"] == "epoch":
        return True
    steps = tree.number("train.local_update_steps") * tree.number("grad.grad_accum_count")
    return steps >= math.ceil(samples / size)
