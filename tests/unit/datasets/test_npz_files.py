"""The user's NPZ files: what is read, and which mistakes are reported."""

from __future__ import annotations

import io
import random
from typing import Any

import numpy as np
import pytest

from fedsim_runner.datasets.npz_files import read_archive
from fedsim_runner.datasets.problems import DataError

X = np.arange(24, dtype=np.uint8).reshape(6, 2, 2)
Y = np.array([0, 1, 0, 1, 0, 1])


def npz(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def test_a_file_without_a_test_set() -> None:
    own, test = read_archive(npz(x=X, y=Y), "d.npz")
    assert test is None
    # Whole numbers stay what they are until the layout is known: they may be text.
    assert (own.x.dtype, own.x.shape) == (np.uint8, (6, 2, 2))
    assert np.array_equal(own.labels, Y)


def test_a_file_with_its_own_test_set() -> None:
    own, test = read_archive(npz(x_train=X, y_train=Y, x_test=X[:2], y_test=Y[:2]), "d.npz")
    assert test is not None
    assert (len(own.x), len(test.x)) == (6, 2)


@pytest.mark.parametrize("labels", [Y[:, None], Y.astype(np.float64), Y.astype(bool), np.array(list("ababab"))])
def test_accepted_labels(labels: Any) -> None:
    own, _ = read_archive(npz(x=X, y=labels), "d.npz")
    assert own.labels.shape == (6,)


@pytest.mark.parametrize("labels", [Y + 0.5, np.ones((6, 3)), np.ones((6, 2, 2), dtype=np.uint8)])
def test_labels_may_be_numbers_of_any_shape(labels: Any) -> None:
    own, _ = read_archive(npz(x=X, y=labels), "d.npz")
    assert np.array_equal(own.labels, labels)


@pytest.mark.parametrize(("kind", "read"), [("f2", "f4"), ("f8", "f4"), ("i4", "i4"), ("u1", "u1"), ("?", "?")])
def test_numbers_with_a_fraction_are_single_precision(kind: str, read: str) -> None:
    own, _ = read_archive(npz(x=X.astype(kind), y=Y), "d.npz")
    assert own.x.dtype == np.dtype(read)


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"x": X}, "has the arrays x; expected x and y, or x_train, y_train, x_test, y_test"),
        ({"x_train": X, "y_train": Y}, "has the arrays x_train, y_train; expected"),
        ({"x": X[:5], "y": Y}, "x has 5 samples and y 6"),
        ({"x": Y, "y": Y}, "x has the shape (6,); expected one row, or one image, per sample"),
        ({"x": X, "y": np.array([["a"] * 2] * 6)}, "y has the shape (6, 2); texts are labels, one per sample"),
        ({"x": X, "y": np.array(1)}, "y has the shape (); expected one label, or one array of numbers, per sample"),
        ({"x": X, "y": np.where(Y == 1, np.nan, 0)}, "y[1] is nan, not a finite number (the first of 3)"),
        ({"x": X[:0], "y": Y[:0]}, "x is empty"),
        ({"x": X.astype(str), "y": Y}, "x is <U3, expected numbers"),
        ({"x": np.where(X == 5, np.nan, X), "y": Y}, "x[1, 0, 1] is nan, not a finite number (the first of 1)"),
        ({"x": np.where(X == 5, 1e300, X), "y": Y}, "x[1, 0, 1] is 1e+300, not a finite number"),
        ({"x": X, "y": Y.astype("M8[s]")}, "y is datetime64[s], expected numbers or text"),
        ({"x": X, "y": np.array(["a", " ", "b", "a", "", "b"])}, "y[1]: the label is empty"),
        (
            {"x": np.array([{}] * 6), "y": Y},
            "contains Python objects, which are not read (save arrays of numbers or text)",
        ),
        (
            {"x_train": X, "y_train": Y, "x_test": X.reshape(6, 4), "y_test": Y},
            "samples of x_train and x_test have the shapes (2, 2) and (4,)",
        ),
    ],
)
def test_mistakes(arrays: dict[str, Any], expected: str) -> None:
    with pytest.raises(DataError) as caught:
        read_archive(npz(**arrays), "d.npz")
    assert str(caught.value).startswith(f"d.npz: {expected}")


def test_a_single_array() -> None:
    stream = io.BytesIO()
    np.save(stream, X)
    with pytest.raises(DataError, match="is a single array, not an NPZ file"):
        read_archive(stream.getvalue(), "d.npz")


@pytest.mark.parametrize("data", [b"", b"hello", b"PK\x03\x04", b"\x93NUMPY", b"\x80\x04K\x01."])
def test_data_that_is_not_an_archive(data: bytes) -> None:
    with pytest.raises(DataError, match=r"^d\.npz: "):
        read_archive(data, "d.npz")


def test_any_content_is_either_read_or_rejected() -> None:
    rng = random.Random(1)
    stream = io.BytesIO()
    np.savez(stream, x=X, y=Y)
    outcomes = set()
    for data in (npz(x=X, y=Y), stream.getvalue()):
        for _ in range(400):
            damaged = bytearray(data)
            for _ in range(rng.randint(1, 3)):
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
            try:
                read_archive(bytes(damaged[: rng.choice([len(damaged), rng.randrange(len(damaged))])]), "d.npz")
                outcomes.add("read")
            except DataError:
                outcomes.add("rejected")
    assert outcomes == {"read", "rejected"}
