"""A client's answer with anything in it is read, or refused in a sentence."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fedsim_runner.participant.light.answers import InvalidAnswerError, read_metrics, read_update
from fedsim_runner.participant.tensors import TensorError, encode_parameters, loads

from .strategies import VALUES, damaged

# A warning would be a line of the server's log that a client has written.
# What is collected meanwhile of other tests' objects is not this file's.
WARNINGS = ("error", "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
pytestmark = [pytest.mark.filterwarnings(*WARNINGS), pytest.mark.lengthy]

OWN = {"weight": np.zeros((3, 2), np.float32), "bias": np.zeros(2, np.float32)}
SENT = encode_parameters(OWN)
PICKLE = base64.b64decode(SENT["weight"])
PICKLES = damaged(PICKLE)
WEIGHTS = (
    VALUES
    | PICKLES.map(lambda data: base64.b64encode(data).decode())
    | damaged(SENT["weight"].encode()).map(lambda data: data.decode(errors="replace"))
)
PARAMETERS = st.fixed_dictionaries({"weight": WEIGHTS, "bias": st.just(SENT["bias"])}) | VALUES


def test_what_was_sent_is_read() -> None:
    samples, parameters = read_update([10, SENT], OWN)
    assert samples == 10
    assert {name: value.tolist() for name, value in parameters.items()} == {"weight": [[0, 0]] * 3, "bias": [0, 0]}


@given(PICKLES)
def test_a_damaged_pickle(data: bytes) -> None:
    try:
        loads(data, most_calls=8)
    except TensorError as error:
        assert str(error)


@given(st.lists(VALUES, max_size=3) | st.tuples(st.integers() | st.floats() | VALUES, PARAMETERS).map(list) | VALUES)
@example([1, {"weight": "\x80", "bias": SENT["bias"]}])
@example([1, {"weight": 3.5e38, "bias": SENT["bias"]}])
@example([1, {"weight": [10**400], "bias": SENT["bias"]}])
@example([10**400, SENT])
def test_an_update_of_anything(content: Any) -> None:
    try:
        samples, parameters = read_update(content, OWN)
    except InvalidAnswerError as error:
        assert str(error)
        return
    assert 0 < samples < float("inf")
    assert all(parameters[name].shape == own.shape and np.isfinite(parameters[name]).all() for name, own in OWN.items())


METRICS = st.dictionaries(st.sampled_from(["test_acc", "test_total", "test_loss", "val_acc"]) | VALUES.map(str), VALUES)


@given(METRICS | VALUES)
@example({"test_acc": 10**400})
def test_metrics_of_anything(content: Any) -> None:
    try:
        metrics = read_metrics(content, {"test"})
    except InvalidAnswerError as error:
        assert str(error)
        return
    assert metrics and np.isfinite(list(metrics.values())).all()
