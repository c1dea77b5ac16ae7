"""Data sets from the user's own files: one CSV or NPZ file, or one for each device."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from .csv_files import read_table
from .labelled_samples import DataSet, Part, Samples
from .npz_files import Arrays, read_archive
from .own_labels import RawFile, take_labels
from .problems import DataError, DataProblem

# The key of the only file if devices do not have their own.
_ALL = ""
_NO_FOLDER = "split: files takes one file per device; images are arrays in an npz file"


@dataclass(frozen=True)
class OwnFiles:
    """Where the samples are.

    ``devices``, the server first: each has a file in the folder ``path``, the server's is optional. Empty: ``path`` is
    one file for all. ``targets``: what labels are, see :class:`fedsim_runner.spec.experiment.DataSource`. ``kept``:
    whether whole numbers stay whole numbers. ``shown``: what messages call ``path``, if not by that name.
    """

    kind: str  # csv or npz
    path: str
    label: str | int | None = None
    header: bool | None = None
    devices: tuple[str, ...] = ()
    targets: str = "auto"
    kept: bool = False
    shown: str | None = field(default=None, compare=False)

    @classmethod
    def of(cls, data: Mapping[str, Any], server: str, clients: list[str]) -> OwnFiles:
        """Read them from the ``data`` part of a device file."""
        devices = (server, *clients) if data["split"] == "files" else ()
        kept = data["layout"] == "kept"
        targets = data.get("targets", "auto")  # device files of earlier versions do not have it
        return cls(data["dataset"], data["path"], data["label"], data["header"], devices, targets, kept)

    @property
    def name(self) -> str:
        """What messages call ``path``."""
        return self.path if self.shown is None else self.shown


def digest(files: OwnFiles) -> str:
    """Compute the SHA-256 digest over the content of all files that are used.

    Raises:
        DataError: a file is missing or cannot be read.
    """
    return _combine_digests(
        {device: hashlib.sha256(content).hexdigest() for device, _, content in _read_contents(files)}
    )


@lru_cache(maxsize=1)
def load_own(files: OwnFiles, sha256: str) -> DataSet:
    """Load the samples of files whose content has the given :func:`digest`.

    Classes become 0..k-1: in numerical order if all are whole numbers, otherwise in the order of their text. Targets
    stay the numbers that they are, one number for each sample as an array of shape (samples, 1).

    Raises:
        DataError: a mistake in the files, or their content does not match the digest.
    """
    digests: dict[str, str] = {}
    raw: dict[str, tuple[RawFile, RawFile | None]] = {}
    problems: list[DataProblem] = []
    for device, file, content in _read_contents(files):
        digests[device] = hashlib.sha256(content).hexdigest()
        try:
            raw[device] = _parse(files, file, content)
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(problems)
    if _combine_digests(digests) != sha256:
        hint = "write the inventory again"
        raise DataError([DataProblem(files.name, 0, "has changed since the run was planned", hint)])
    every = [one for pair in raw.values() for one in pair if one is not None]
    _check_alike(every)
    classes, mapped = take_labels(every, files.targets)
    labels = iter(mapped)

    def samples(one: RawFile) -> Samples:
        return Samples(one.x, next(labels))

    parts = {name: Part(samples(own), None if test is None else samples(test)) for name, (own, test) in raw.items()}
    return DataSet(classes, by_device=parts) if files.devices else DataSet(classes, parts[_ALL])


def _read_contents(files: OwnFiles) -> Iterator[tuple[str, str, bytes]]:
    """Yield device, name and content of every file; all missing files are reported together."""
    folder = Path(files.path)
    missing: list[DataProblem] = []
    if files.devices and not folder.is_dir():
        message = "must be a folder with one file per device" if folder.exists() else "there is no such folder"
        raise DataError([DataProblem(files.name, 0, message, key="path")])
    names = {device: f"{device}.{files.kind}" for device in files.devices} or {_ALL: ""}
    for number, (device, name) in enumerate(names.items()):
        path, file = folder / name, str(Path(files.name) / name)
        if files.devices and number == 0 and not path.exists():
            continue  # the server's test set then comes from the clients' files
        try:
            if path.exists() and not path.is_file():
                message = "is a folder" if path.is_dir() else "is not an ordinary file"
                hint = _NO_FOLDER if path.is_dir() else None
                raise DataError([DataProblem(file, 0, message, hint, key="path")])
            content = path.read_bytes()
        except FileNotFoundError:
            whose = f" (device {device})" if device else ""
            missing.append(DataProblem(file, 0, f"there is no such file{whose}", key="path"))
            continue
        except OSError as error:
            missing.append(DataProblem(file, 0, f"cannot be read: {error.strerror}", key="path"))
            continue
        if not missing:
            yield device, file, content
    if len(missing) > 4:
        missing[3:] = [DataProblem(files.name, 0, f"{len(missing) - 3} more devices have no file", key="path")]
    if missing:
        raise DataError(missing)


def _combine_digests(by_device: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(by_device, sort_keys=True).encode()).hexdigest()


def _parse(files: OwnFiles, file: str, content: bytes) -> tuple[RawFile, RawFile | None]:
    if files.kind == "csv":
        table = read_table(content, file, files.label, files.header)
        labels, features = np.array(table.labels), table.features
        if files.kept and (features == np.round(features)).all():
            features = features.astype(np.int64)
        return RawFile(file, features, labels, tuple(table.lines), table.columns, table.label_column), None
    own, test = read_archive(content, file)
    return _of_arrays(file, own, files.kept), None if test is None else _of_arrays(file, test, files.kept)


def _of_arrays(file: str, arrays: Arrays, kept: bool) -> RawFile:
    x, labels = arrays.x, arrays.labels
    if kept and x.dtype.kind != "f":
        x = x.astype(np.int64)  # embeddings take no smaller ones
    if labels.dtype.kind == "f" and (np.abs(labels) < 2**53).all() and (np.round(labels) == labels).all():
        labels = labels.astype(np.int64) if labels.ndim == 1 else labels
    return RawFile(file, x, labels, array=arrays.name)


def _check_alike(every: list[RawFile]) -> None:
    first = every[0]
    for one in every[1:]:
        if one.header != first.header:
            differing = next((name for name in one.header if name not in first.header), None)
            message = f"does not have the columns of {first.file} in the same order"
            if differing is not None:
                message = f'has a column "{differing}" that {first.file} does not have'
            raise DataError([DataProblem(one.file, 1, message, "all files need the same columns")])
        if one.x.shape[1:] != first.x.shape[1:]:
            message = f"samples have the shape {one.x.shape[1:]}, but in {first.file} {first.x.shape[1:]}"
            raise DataError([DataProblem(one.file, 0, message)])
        if one.labels.shape[1:] != first.labels.shape[1:]:
            message = f"labels have the shape {one.labels.shape[1:]}, but in {first.file} {first.labels.shape[1:]}"
            raise DataError([DataProblem(one.file, 0, message)])
        if (one.labels.dtype.kind == "U") != (first.labels.dtype.kind == "U"):
            message = f"labels are {one.labels.dtype}, but in {first.file} {first.labels.dtype}"
            raise DataError([DataProblem(one.file, 0, message, "all files need labels of the same kind")])
