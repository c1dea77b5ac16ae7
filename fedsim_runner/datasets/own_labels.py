"""What the labels of the user's files are: classes, which get numbers, or targets, which are numbers."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .problems import DataError, DataProblem, Findings

_WHOLE = re.compile(r"[-+]?[0-9]{1,300}(\.0*)?")
# As Python's float: NumPy would warn where it compares its own with a larger number.
_LARGEST = float(np.finfo(np.float32).max)
# How many characters of a wrong label a message shows.
_SHOWN = 40


@dataclass(frozen=True)
class RawFile:
    """The samples of one file, or the test samples in it, with labels as they are written."""

    file: str
    x: npt.NDArray[Any]
    labels: npt.NDArray[Any]
    lines: tuple[int, ...] = ()  # only for CSV files
    header: tuple[str, ...] = ()
    label_column: str = ""
    array: str = "y"  # only for NPZ files: the name of the labels' array


def take_labels(every: list[RawFile], targets: str) -> tuple[tuple[str, ...], list[npt.NDArray[Any]]]:
    """Return the names of the classes, none for targets, and each file's labels as class numbers or as targets.

    Args:
        every: all files, with labels of the same kind and shape.
        targets: ``classes``, ``numbers``, or ``auto``: numbers where not all are whole, otherwise classes.

    Raises:
        DataError: labels that are not what they should be.
    """
    if every[0].labels.ndim > 1:
        if targets == "classes":
            _reject_one_hot(every)
        return (), [_as_targets(one, targets == "numbers") for one in every]
    if targets == "numbers" or (targets == "auto" and _are_measurements(every)):
        return (), [_as_targets(one, True)[:, np.newaxis] for one in every]
    return _number_classes(every)


def _are_measurements(every: list[RawFile]) -> bool:
    """Whether the labels are numbers, and not all of them whole."""
    if every[0].labels.dtype.kind != "U":
        return any(one.labels.dtype.kind == "f" for one in every)  # whole ones have become integers
    written = {str(text) for one in every for text in np.unique(one.labels).tolist()}
    return all(map(_is_number, written)) and not all(map(_WHOLE.fullmatch, written))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _as_targets(one: RawFile, as_fractions: bool) -> npt.NDArray[Any]:
    """Labels as numbers: float32, or int64 for whole numbers unless ``as_fractions``."""
    if one.labels.dtype.kind == "U":
        return _parse_targets(one)
    if one.labels.dtype.kind != "f" and not as_fractions:
        return one.labels.astype(np.int64)
    with np.errstate(over="ignore"):
        numbers = one.labels.astype(np.float32)
    bad = np.argwhere(~np.isfinite(numbers))
    if len(bad):
        place = ", ".join(map(str, bad[0].tolist()))
        message = f"{one.array}[{place}] is {one.labels[tuple(bad[0])]}: too large"
        raise DataError([DataProblem(one.file, 0, message)])
    return numbers


def _parse_targets(one: RawFile) -> npt.NDArray[np.float32]:
    findings = Findings(one.file)
    column = f'column "{one.label_column}": ' if one.header else ""
    numbers = np.zeros(len(one.labels), dtype=np.float32)
    for index, text in enumerate(one.labels.tolist()):
        number = float(text) if _is_number(text) else math.nan
        if not abs(number) <= _LARGEST:
            line = one.lines[index] if one.lines else 0
            shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
            hint = "the loss compares numbers; for classes write criterion: {type: CrossEntropyLoss}"
            findings.add(line, f'{column}the label "{shown}" is not a number', hint)
            continue
        numbers[index] = number
    findings.close()
    return numbers


def _reject_one_hot(every: list[RawFile]) -> None:
    """Reject rows of 0 and 1 with a single 1: the loss takes a class as its number."""
    for one in every:
        labels = one.labels
        rows = labels.ndim == 2 and labels.dtype.kind != "f" and ((labels == 0) | (labels == 1)).all()
        if rows and (labels.sum(axis=1) == 1).all():
            message = f"{one.array} has the shape {labels.shape} and a single 1 in each row"
            hint = f"labels are one number or text per sample: write {one.array}.argmax(axis=1)"
            raise DataError([DataProblem(one.file, 0, message, hint)])


def _number_classes(every: list[RawFile]) -> tuple[tuple[str, ...], list[npt.NDArray[Any]]]:
    """Return the classes in order, and each file's labels as class numbers."""
    distinct = [np.unique(one.labels, return_inverse=True) for one in every]
    written = {str(value) for values, _ in distinct for value in values.tolist()}
    if all(map(_WHOLE.fullmatch, written)):
        names = {text: str(int(text.partition(".")[0])) for text in written}
        classes = tuple(map(str, sorted(map(int, set(names.values())))))
    elif every[0].labels.dtype.kind == "b":
        names = {"False": "0", "True": "1"}
        classes = tuple(sorted(names[text] for text in written))
    else:
        _reject_measurements(every, written)
        names = {text: text for text in written}
        classes = tuple(sorted(written))
    if len(classes) < 2:
        message = f'has only one class, "{classes[0]}"; there must be at least two'
        raise DataError([DataProblem(every[0].file, 0, message, key="label" if every[0].header else None)])
    numbers = {name: number for number, name in enumerate(classes)}
    mapped = [
        np.array([numbers[names[str(value)]] for value in values.tolist()], dtype=np.int64)[inverse]
        for values, inverse in distinct
    ]
    return classes, mapped


def _reject_measurements(every: list[RawFile], written: set[str]) -> None:
    """Reject labels that are all numbers but not all whole: they are measurements, not classes."""
    if not all(map(_is_number, written)):
        return
    for one in every:
        for index, text in enumerate(one.labels.tolist()):
            if not _WHOLE.fullmatch(str(text)):
                line = one.lines[index] if one.lines else 0
                column = f'column "{one.label_column}": ' if one.header else ""
                if not one.lines:
                    column = f"{one.array}[{index}]: "
                shown = str(text) if len(str(text)) <= _SHOWN else f"{str(text)[:_SHOWN]}..."
                message = f"{column}the label {shown} is not a class"
                hint = "classes are whole numbers or text, and MSELoss takes any numbers; is data.label right?"
                raise DataError([DataProblem(one.file, line, message, hint)])
