"""Rules: model, loss, batches and results must fit the data that the participants have."""

from __future__ import annotations

import math
from collections.abc import Iterator

from .course_facts import Course, Participant, Refusal, Tree

# core/monitors/metric_calculator.py; others may be registered by the source itself.
_ALWAYS = ("loss", "avg_loss", "total")
_SPLITS = ("train", "val", "test")
# Splits of the testbed's shards where their sizes are not known.
_SERVER_SPLITS = ("test",)

# Smallest height and width of which the model's pooling layers leave something.
_IMAGE_MODELS = {"convnet2": 4, "convnet5": 32, "vgg11": 32}
# Losses that compare numbers of the same shape, or probabilities, and fail on class labels.
_NOT_FOR_CLASSES = (
    "MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "BCELoss", "BCEWithLogitsLoss", "KLDivLoss", "SoftMarginLoss",
    "PoissonNLLLoss", "HingeEmbeddingLoss", "MultiLabelMarginLoss", "MultiLabelSoftMarginLoss", "GaussianNLLLoss",
)  # fmt: skip
_BY_LABEL = ("CrossEntropyLoss", "NLLLoss", "MultiMarginLoss")


def data(tree: Tree, course: Course) -> Iterator[Refusal]:
    """The model must fit the data."""
    name, shape = tree.text("model.type"), course.shape
    smallest = _IMAGE_MODELS.get(name)
    if smallest and tree["model.type"] != name:
        yield Refusal("model.type", f"FederatedScope builds it under the name {name} only", f"write {name}")
    if smallest and shape is not None and (len(shape) != 3 or min(shape[1:]) < smallest):
        shown = " x ".join(map(str, shape))
        yield Refusal(
            "model.type",
            f"{name} needs images of at least {smallest} x {smallest} pixels, and a sample here is {shown}",
            "choose another model or data set",
        )
    labels = tree.number("model.out_channels")
    if course.classes is not None and labels < course.classes and tree["criterion.type"] in _BY_LABEL:
        given = "" if tree.is_written("model.out_channels") else " (FederatedScope's default)"
        yield Refusal(
            "model.out_channels",
            f"{labels:g}{given} is less than the {course.classes} classes of the data: training crashes",
            f"write {course.classes}",
        )


def criterion(tree: Tree, course: Course) -> Iterator[Refusal]:
    kind = str(tree["criterion.type"])
    outputs = tree.number("model.out_channels")
    # Where batch and outputs have the same size, the wrong shapes happen to fit.
    if kind in _NOT_FOR_CLASSES and outputs > 1 and outputs != tree.number("dataloader.batch_size"):
        given = "" if tree.is_written("criterion.type") else ", FederatedScope's default,"
        yield Refusal(
            "criterion.type",
            f"{kind}{given} cannot compare {outputs:g} outputs with class labels: training crashes",
            "write CrossEntropyLoss",
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
    splits = tree.names("eval.split")
    default = "" if tree.is_written(key) else " (FederatedScope's default)"
    if tree["federate.make_global_eval"] is True:
        # A server of the light engine does not need this result.
        available = _SERVER_SPLITS if course.server.samples is None else tuple(course.server.samples)
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
