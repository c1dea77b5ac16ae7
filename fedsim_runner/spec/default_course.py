"""The course of an experiment file that says nothing about it: small, and the same for every data set and engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..yamlfile.document import Document, parse
from ..yamlfile.overrides import Override, put_into

# The number of outputs follows from the data.
TEXT = """\
federate: {total_round_num: 10, make_global_eval: true}
model: {type: lr, task: classification}
criterion: {type: CrossEntropyLoss}
dataloader: {batch_size: 32}
train: {batch_or_epoch: epoch, local_update_steps: 1, optimizer: {lr: 0.1}}
eval: {freq: 1, metrics: [acc, correct], best_res_update_round_wise_key: test_loss}
"""
NOTE = (
    "the file says nothing about the course, so it is the default one: 10 rounds of FedAvg, each client with one epoch "
    "of logistic regression (model lr, learning rate 0.1, batches of 32) in each"
)


def default_course(overrides: Iterable[Override] = ()) -> Document:
    """The default course as FederatedScope's configuration, without the number of the model's outputs.

    ``overrides``: values that options give in place of its own.
    """
    document = parse(TEXT, "the default course")
    put_into(document, overrides)
    return document


def describe_default(overrides: Sequence[Override] = ()) -> str:
    """The note that says which course it is."""
    changed = f", but for {', '.join(one.key for one in overrides)}, which options give" if overrides else ""
    return f"{NOTE}{changed}"


def with_outputs(config: Mapping[str, Any], classes: int) -> dict[str, Any]:
    """The default course for data with this many classes."""
    own = config.get("model")
    return {**config, "model": {"out_channels": classes, **own}} if isinstance(own, Mapping) else dict(config)
