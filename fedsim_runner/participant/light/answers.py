"""Clients' answers, checked: a client that sends anything else is alone to blame; the course can go on without it."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from ..exit_errors import ParticipantError
from ..tensors import Array, TensorError, decode_parameters

_MOST_SAMPLES = 1e9
# Far above what training leaves, and far below what makes the other clients' losses infinite.
_LARGEST_PARAMETER = 1e12
_MOST_METRICS = 1000
_METRIC = re.compile(r"([A-Za-z0-9]{1,50})_[A-Za-z0-9_@%.-]{1,50}")


class InvalidAnswerError(ParticipantError):
    """An answer that does not fit what was asked for."""


def read_update(content: Any, own: Mapping[str, Array]) -> tuple[float, dict[str, Array]]:
    """Return samples and parameters of an update of a model with the parameters ``own``; others are left out.

    Raises:
        InvalidAnswerError: a part is missing or has another form, or the other clients could not train such a model.
    """
    if not isinstance(content, list) or len(content) != 2:
        raise InvalidAnswerError("it is not samples and parameters")
    samples = content[0]
    if not isinstance(samples, int | float) or not 0 < samples <= _MOST_SAMPLES:
        raise InvalidAnswerError("its number of samples is not above zero, or not possible")
    try:
        parameters = decode_parameters(content[1])
    except TensorError as error:
        raise InvalidAnswerError(str(error)) from error
    for name, mine in own.items():
        theirs = parameters.get(name)
        if theirs is None:
            raise InvalidAnswerError(f"it lacks {name}")
        if theirs.shape != mine.shape:
            raise InvalidAnswerError(f"{name} has shape {theirs.shape}, not {mine.shape}")
        if not np.all(np.abs(theirs) <= _LARGEST_PARAMETER):  # which is false for what is not a number, too
            raise InvalidAnswerError(f"{name} is not finite, or beyond {_LARGEST_PARAMETER:g}")
    return float(samples), {name: parameters[name] for name in own}


def read_metrics(content: Any, splits: Collection[str]) -> dict[str, float]:
    """Return the metrics of a client's evaluation of these splits.

    Raises:
        InvalidAnswerError: they are not numbers by name.
    """
    if not isinstance(content, Mapping) or not 0 < len(content) <= _MOST_METRICS:
        raise InvalidAnswerError("they are not numbers by name")
    for name, value in content.items():
        known = _METRIC.fullmatch(name) if isinstance(name, str) else None
        if known is None or known[1] not in splits:
            raise InvalidAnswerError("the name of one of them is not that of a metric")
        # False for what is not a number, too; a whole number beyond all floats could not be converted.
        if not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
            raise InvalidAnswerError(f"{name} is not a number")
        if name.endswith("_total") and value < 0:
            raise InvalidAnswerError(f"{name} is below zero")
    return {name: float(value) for name, value in content.items()}
