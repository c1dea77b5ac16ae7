"""Texts of a user's own messages: words and numbers pass, and of pickles those that hold nothing but numbers."""

from __future__ import annotations

import base64
import contextlib
import io
import os
import pickle
import random
import string
import zipfile
import zlib
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

from fedsim_runner.participant.pickle_check import check_text, check_texts
from fedsim_runner.participant.tensors import TensorError, encode_parameters
from tests.unit.participant.test_tensors import TORCH_TENSOR, TORCH_TRANSPOSED, Call


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(os.getcwd))
    return stream.getvalue()


NUMBERS: dict[str, bytes] = {
    "a tensor": TORCH_TENSOR,
    "a transposed tensor": TORCH_TRANSPOSED,
    "an array": pickle.dumps(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "a transposed array": pickle.dumps(np.arange(6).reshape(2, 3).T),
    "one of no elements": pickle.dumps(np.zeros((0, 3), bool)),
    "a number of numpy's": pickle.dumps(np.float64(0.5)),
    "numbers and texts of Python's": pickle.dumps({"a": [1, 2.5, None, ("x", True)], 3: {}}),
    "an ordered mapping": pickle.dumps(OrderedDict(a=1)),
}
OTHERS: dict[str, tuple[bytes, str]] = {
    "a program": (pickle.dumps(Call(os.system, "true")), "asks for posix.system"),
    "one of the first protocol": (b"cposix\nsystem\n(S'true'\ntR.", "asks for posix.system|has the operation"),
    "one behind other things": (pickle.dumps([1, {"x": Call(os.system, "true")}]), "asks for posix.system"),
    "one that is cut after its call": (pickle.dumps(Call(os.system, "true"))[:-1], "broken pickle|asks for"),
    "another object": (pickle.dumps(random.Random()), "asks for"),
    "an array of objects": (pickle.dumps(np.array([{"a": 1}, "x"], dtype=object)), "not made of numbers"),
    "an array that is made at once": (pickle.dumps(Call(np.ndarray, (10**6,))), "broken pickle"),
    "a memo that takes all memory": (b"]r\xff\xff\xff\x7f.", "numbers an object"),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_pass(name: str) -> None:
    check_text(encoded(NUMBERS[name]))


def test_what_models_are_sent_as_passes() -> None:
    check_texts([3, encode_parameters({"fc.weight": np.zeros((2, 3), np.float32)})])


@pytest.mark.parametrize("name", OTHERS)
def test_other_pickles_are_refused_wherever_they_are(name: str) -> None:
    data, words = OTHERS[name]
    for content in (encoded(data), [1, {"x": ["a", {7: encoded(data)}]}], "-" + encoded(data)):
        with pytest.raises(TensorError, match=words):
            check_texts(content)


@pytest.mark.parametrize(
    "text",
    ["", "collect", "statistics", "done", "client 3 has finished", "dGV4dA==", "cGlja2xl", "ümlaut", "c" * 400,
     encoded(zlib.compress(b"what a user packs alone")), encoded(zipped()), encoded(b"\x93NUMPY" + bytes(100))],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_what_nobody_can_unpickle_passes(text: str) -> None:
    check_text(text)


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
def test_words_are_hardly_ever_taken_for_pickles() -> None:
    numbers = random.Random(5)
    letters = string.ascii_letters + string.digits + " _-."
    refused = 0
    for _ in range(4000):
        try:
            check_text("".join(numbers.choices(letters, k=numbers.randint(12, 60))))
        except TensorError:
            refused += 1
    assert refused <= 12


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
def test_a_text_that_python_can_run_is_never_taken_for_a_word() -> None:
    ran: list[Any] = []

    class Probe(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            ran.append((module, name))
            raise pickle.UnpicklingError

    numbers = random.Random(6)
    calls = [pickle.dumps(Call(os.system, "true"), protocol) for protocol in range(5)]
    for _ in range(3000):
        data = bytearray(numbers.choice(calls))
        for _ in range(numbers.randint(0, 3)):
            data.insert(numbers.randint(0, len(data)), numbers.randint(0, 255))
        ran.clear()
        with contextlib.suppress(Exception):  # most of them are broken
            Probe(io.BytesIO(bytes(data))).load()
        if ran:
            with pytest.raises(TensorError):
                check_text(encoded(bytes(data)))
