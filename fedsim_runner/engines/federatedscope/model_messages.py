"""Sizes of the messages of a course, from FederatedScope's configuration and the shape of a sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from fedsim_runner.plan.model import MessageSizes

from ..message_sizes import LIMIT_BYTES, sizes_of
from ..model_shapes import ModelSettings, Tensor, tensors_of
from .course_facts import Tree

# Methods whose messages carry no model.
_WITHOUT_MODEL = ("local", "global")
_LIMIT_KEY = "distribute.grpc_max_receive_message_length"


def message_sizes(
    tree: Tree, shape: Sequence[int] | None, ask: Callable[[Sequence[int]], list[Tensor] | None] = lambda shape: None
) -> MessageSizes | None:
    """Return the sizes; None: the model, or the samples' shape, is not known.

    ``ask`` is called with the shape of a batch for the tensors of a model that is not one of FederatedScope's own.
    """
    given = tree["model.input_shape"]
    if shape is None and isinstance(given, list | tuple) and given and all(type(size) is int for size in given):
        shape = given
    if shape is None:
        return None
    tensors = tensors_of(ModelSettings.of(tree.config), shape)
    if tensors is None:
        tensors = ask((max(1, int(tree.number("dataloader.batch_size"))), *shape))
    if tensors is None:
        return None
    if tree["federate.method"] in _WITHOUT_MODEL:
        tensors = []
    local, all_shared = tree.names("personalization.local_param"), tree["personalization.share_non_trainable_para"]
    returned = [
        tensor
        for tensor in tensors
        if (tensor.trained or all_shared is True) and not any(word in tensor.name for word in local)
    ]
    sizes = sizes_of(
        tensors,
        returned,
        clients_evaluate=tree["federate.make_global_eval"] is not True,
        limit=int(tree.number(_LIMIT_KEY) or LIMIT_BYTES),
        copies=max(1, int(tree.number("model.model_num_per_trainer"))),
    )
    return replace(sizes, limit_key=_LIMIT_KEY)
