"""The user's NPZ files: named arrays, never pickles."""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .problems import DataError, DataProblem

# What NumPy and zipfile raise for a file that is not an archive, is truncated or encrypted, or contains objects.
_UNREADABLE = (
    OSError, ValueError, KeyError, EOFError, IndexError, zipfile.BadZipFile, zlib.error, NotImplementedError,
    RuntimeError, MemoryError, SyntaxError, TypeError, OverflowError,
)  # fmt: skip


@dataclass(frozen=True)
class Arrays:
    """``x``: float32 or whole numbers, one sample per entry of the first axis.

    ``labels``: a text or a number for each sample, or an array of numbers; ``name``: that of their array in the file.
    """

    x: npt.NDArray[Any]
    labels: npt.NDArray[Any]
    name: str


def read_archive(data: bytes, file: str) -> tuple[Arrays, Arrays | None]:
    """Read the samples of an NPZ file, and its own test samples if it has ``x_train, y_train, x_test, y_test``.

    Raises:
        DataError: a mistake in it.
    """
    try:
        loaded = np.load(io.BytesIO(data), allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise _wrong(file, "is a single array, not an NPZ file", "write it with numpy.savez(path, x=..., y=...)")
        names = sorted(loaded.files)
        if {"x", "y"} <= set(names):
            pairs = [("x", "y")]
        elif {"x_train", "y_train", "x_test", "y_test"} <= set(names):
            pairs = [("x_train", "y_train"), ("x_test", "y_test")]
        else:
            message = (
                f"has the arrays {', '.join(names) or 'none'}; expected x and y, or x_train, y_train, x_test, y_test"
            )
            raise _wrong(file, message)
        read = [(one, loaded[one], other, loaded[other]) for one, other in pairs]
    except DataError:
        raise
    except _UNREADABLE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if "allow_pickle" in reason or "Object arrays" in reason:
            raise _wrong(
                file, "contains Python objects, which are not read", "save arrays of numbers or text"
            ) from error
        raise _wrong(file, f"cannot be read as NPZ: {reason}") from error
    for pair in read:
        for name, array in (pair[:2], pair[2:]):
            if not isinstance(array, np.ndarray):  # NumPy returns the bytes of a member that has no array in it
                raise _wrong(file, f"{name} is not an array", "write it with numpy.savez(path, x=..., y=...)")
    found = [_check_arrays(file, *one) for one in read]
    if len(found) == 2 and found[0].x.shape[1:] != found[1].x.shape[1:]:
        shapes = " and ".join(str(one.x.shape[1:]) for one in found)
        raise _wrong(file, f"samples of x_train and x_test have the shapes {shapes}")
    return found[0], found[1] if len(found) == 2 else None


def _check_arrays(
    file: str, x_name: str, x: npt.NDArray[np.generic], y_name: str, y: npt.NDArray[np.generic]
) -> Arrays:
    if x.ndim < 2:
        raise _wrong(file, f"{x_name} has the shape {x.shape}; expected one row, or one image, per sample")
    if y.ndim < 1:
        raise _wrong(file, f"{y_name} has the shape {y.shape}; expected one label, or one array of numbers, per sample")
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if len(x) != len(y):
        raise _wrong(file, f"{x_name} has {len(x)} samples and {y_name} {len(y)}")
    if x.size == 0 or y.size == 0:
        raise _wrong(file, f"{x_name if x.size == 0 else y_name} is empty")
    if x.dtype.kind not in "fiub":
        raise _wrong(file, f"{x_name} is {x.dtype}, expected numbers")
    if y.dtype.kind not in "fiubU":
        raise _wrong(file, f"{y_name} is {y.dtype}, expected numbers or text")
    if y.dtype.kind == "U":
        if y.ndim > 1:
            raise _wrong(file, f"{y_name} has the shape {y.shape}; texts are labels, one per sample")
        empty = np.flatnonzero(np.char.strip(y.astype(np.str_)) == "")
        if len(empty):
            raise _wrong(file, f"{y_name}[{empty[0]}]: the label is empty", "give it, or remove the sample")
    elif y.dtype.kind == "f":
        _check_finite(file, y_name, y, y)
    if x.dtype.kind != "f":
        return Arrays(np.ascontiguousarray(x), y, y_name)
    with np.errstate(over="ignore"):
        features = np.ascontiguousarray(x, dtype=np.float32)
    _check_finite(file, x_name, features, x)
    return Arrays(features, y, y_name)


def _check_finite(file: str, name: str, read: npt.NDArray[Any], written: npt.NDArray[Any]) -> None:
    bad = np.argwhere(~np.isfinite(read))
    if len(bad):
        place = ", ".join(map(str, bad[0].tolist()))
        value = written[tuple(bad[0])]
        raise _wrong(file, f"{name}[{place}] is {value}, not a finite number (the first of {len(bad)})")


def _wrong(file: str, message: str, hint: str | None = None) -> DataError:
    return DataError([DataProblem(file, 0, message, hint)])
