"""What clients send to FederatedScope's server, checked and decoded without running code from a pickle."""

from __future__ import annotations

import importlib
import math
import re
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from ..exit_errors import ParticipantError
from ..tensors import TensorError, decode_parameter

TRAINERS = "federatedscope.core.trainers.utils"
AGGREGATOR = "federatedscope.core.aggregators"
_MOST_SAMPLES = 1e9
_MOST_METRICS = 1000
_METRIC = re.compile(r"[A-Za-z0-9@%.-]{1,50}_[A-Za-z0-9_@%.-]{1,50}")


class UnusableAnswerError(ParticipantError):
    """An answer that FederatedScope's server cannot handle; the text says why."""


def check_info(content: Any, wanted: list[str]) -> None:
    """Check what a client says of itself when it joins.

    Raises:
        UnusableAnswerError: something that was asked for is missing.
    """
    if not isinstance(content, dict) or not all(_is_number(content.get(name)) for name in wanted):
        raise UnusableAnswerError(f"it does not say its {', '.join(wanted)}")


def check_metrics(content: Any, configured: Collection[str] = ()) -> None:
    """Check the results of a client's evaluation; ``configured``: names of some that are in any case right.

    Raises:
        UnusableAnswerError: they are not numbers by name, or lack the number of samples of a split.
    """
    if not isinstance(content, dict) or not 0 < len(content) <= _MOST_METRICS:
        raise UnusableAnswerError("they are not numbers by name")
    for name, value in content.items():
        named = isinstance(name, str) and (name in configured or _METRIC.fullmatch(name) is not None)
        if not named or not _is_number(value):
            raise UnusableAnswerError("one of them is not a number with the name of a metric")
        split = name.split("_")[0]
        if f"{split}_total" not in content:
            raise UnusableAnswerError(f"they lack {split}_total")
        if name.endswith("_total") and value < 0:
            raise UnusableAnswerError(f"{name} is below zero")


def check_importance(content: Any) -> None:
    """Check how often a client's features split a tree.

    Raises:
        UnusableAnswerError: it is not a number for each feature.
    """
    if not isinstance(content, list) or not content or not all(map(_is_number, content)):
        raise UnusableAnswerError("it is not a number for each feature")


def like_most(answers: Mapping[int, Mapping[str, Any]]) -> list[int]:
    """Return the clients whose results have the names that most have: FederatedScope cannot merge others with them."""
    names = {client: frozenset(results) for client, results in answers.items()}
    counts = Counter(names.values())
    usual = max(counts, key=lambda one: (counts[one], len(one)), default=frozenset())
    return [client for client, own in names.items() if own == usual]


def read_update(server: Any, content: Any) -> tuple[float, Any]:
    """Return samples and parameters, as tensors, of an update of this server's model, or models.

    Raises:
        UnusableAnswerError: a part is missing or has another form.
    """
    if not isinstance(content, list) or len(content) != 2:
        raise UnusableAnswerError("it is not samples and parameters")
    samples, parameters = content
    least = 0 if server._cfg.federate.method in ("local", "global") else 1e-9
    if not _is_number(samples) or not least <= samples <= _MOST_SAMPLES:
        raise UnusableAnswerError("its number of samples is not above zero, or not possible")
    if server.model_num == 1:
        return samples, _read_parameters(server, server.models[0], parameters)
    if not isinstance(parameters, list) or len(parameters) != server.model_num:
        raise UnusableAnswerError(f"it is not of {server.model_num} models")
    return samples, [_read_parameters(server, model, one) for model, one in zip(server.models, parameters, strict=True)]


def _read_parameters(server: Any, model: Any, parameters: Any) -> dict[str, Any]:
    if not isinstance(parameters, dict):
        raise UnusableAnswerError("its parameters have no names")
    if server._cfg.federate.method == "local":
        return {}  # nothing is averaged, and each client may have a model of its own
    own = model.state_dict()
    read = {name: _read_tensor(name, parameters[name], own[name]) for name in own if name in parameters}
    # FedAvg's mean leaves out what a client does not share; all others need the same of each.
    if type(server.aggregator) is not importlib.import_module(AGGREGATOR).ClientsAvgAggregator:
        local = server._cfg.personalization.local_param
        shared = importlib.import_module(TRAINERS).filter_by_specified_keywords
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and shared(name, local) and parameters and name not in read:
                raise UnusableAnswerError(f"it lacks {name}")
    return read


def _read_tensor(name: str, value: Any, own: Any) -> Any:
    torch = importlib.import_module("torch")
    try:
        tensor = torch.from_numpy(decode_parameter(value))
    except (TensorError, TypeError, ValueError) as error:
        raise UnusableAnswerError(str(error)) from error
    if tensor.shape != own.shape:
        raise UnusableAnswerError(f"{name} has shape {tuple(tensor.shape)}, not {tuple(own.shape)}")
    return tensor.to(own.dtype)


def _is_number(value: Any) -> bool:
    # Training that diverges has results that are not numbers in the narrow sense; FederatedScope goes on with them.
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isinf(value)
