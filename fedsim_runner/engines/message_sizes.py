"""Bytes of the messages that carry a model, as both engines encode them for FederatedScope's wire format."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fedsim_runner.plan.model import MessageSizes

from .model_shapes import Tensor

# FederatedScope's default for what a participant accepts (distribute.grpc_max_receive_message_length).
LIMIT_BYTES = 300 * 1024 * 1024
NUMBER_BYTES = 4
# What a pickled tensor takes besides its numbers, and an entry of a message besides its value. Torch's pickles are
# larger than ours, which torch-free participants write; the difference does not matter to a link.
PICKLE_BYTES = 420
ENTRY_BYTES = 24
# A number in nested lists: its own four bytes, and the tags and lengths of three nested messages.
LISTED_BYTES = 9
LIST_BYTES = 6


def sizes_of(
    sent: Sequence[Tensor], returned: Sequence[Tensor], clients_evaluate: bool, limit: int, copies: int = 1
) -> MessageSizes:
    """Return the sizes of a course's messages.

    Args:
        sent: what the server sends to a client.
        returned: what the client returns.
        clients_evaluate: whether clients get the model for evaluations.
        limit: of a message, in bytes.
        copies: models that each participant has.
    """
    listed = copies * sum(map(_listed, sent))
    return MessageSizes(
        numbers=copies * sum(tensor.numbers for tensor in sent),
        to_client=copies * sum(map(_pickled, sent)),
        from_client=copies * sum(map(_pickled, returned)),
        evaluate=listed if clients_evaluate else 0,
        finish=listed,
        limit=limit,
    )


def _pickled(tensor: Tensor) -> int:
    return (NUMBER_BYTES * tensor.numbers + PICKLE_BYTES) * 4 // 3 + len(tensor.name) + ENTRY_BYTES


def _listed(tensor: Tensor) -> int:
    lists = math.prod(tensor.shape[:-1]) if tensor.shape else 0
    return LISTED_BYTES * tensor.numbers + LIST_BYTES * lists + len(tensor.name) + ENTRY_BYTES
