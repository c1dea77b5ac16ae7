"""A model as a file: FederatedScope's checkpoint, written and read without torch and without running code from it.

The format is torch's own since its version 1.6 (``torch.save``, ``torch.load``): an uncompressed zip archive with one
folder, in which ``data.pkl`` is a pickle of ``{"cur_round": int, "model": {name: tensor}}``, ``data/KEY`` holds the
elements of the tensor that the pickle refers to by that key, and ``version`` and ``byteorder`` say how. FederatedScope
writes it for ``federate.save_to`` (``core/aggregators/clients_avg_aggregator.py``).
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .tensors import STORAGE_DTYPES, Array, TensorError, load_with_storages

_FOLDER = "model"
_ZIP = b"PK\x03\x04"
# An archive says when its files were written; ours has the same bytes for the same model.
_NEVER = (1980, 1, 1, 0, 0, 0)
_STORAGES = {np.dtype(dtype): name for name, dtype in STORAGE_DTYPES.items()}
_ORDERED_DICT = b"ccollections\nOrderedDict\n)R"
_REBUILD_TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"
# Tensors may share their elements, as the tied layers of a language model do.
_MOST_SHARING = 4


@dataclass(frozen=True)
class SavedModel:
    """What a model file holds.

    Attributes:
        rounds: after how many rounds of its course it was written.
        parameters: the model's arrays by FederatedScope's names, also those that are not trained.
    """

    rounds: int
    parameters: Mapping[str, Array]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the arrays by name."""
        return {name: value.shape for name, value in self.parameters.items()}


def write_model(parameters: Mapping[str, Array], rounds: int = 0) -> bytes:
    """Return a model as a file, which torch, FederatedScope and :func:`read_model` read.

    Raises:
        TensorError: an array has a type that torch's files do not have.
    """
    arrays = {name: np.asarray(value) for name, value in parameters.items()}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_member("data.pkl"), _pickle(arrays, rounds))
        archive.writestr(_member("byteorder"), b"little")
        for key, array in enumerate(arrays.values()):
            archive.writestr(_member(f"data/{key}"), array.astype(array.dtype.newbyteorder("<")).tobytes())
        archive.writestr(_member("version"), b"3\n")
    return stream.getvalue()


def read_model(data: bytes) -> SavedModel:
    """Read a model from the bytes of a file; its arrays are read-only.

    A file with nothing but a model's tensors by name (``torch.save(model.state_dict(), path)``) is one of round 0.

    Raises:
        TensorError: it is not a model, or asks for more than tensors.
    """
    if not data.startswith(_ZIP):
        raise TensorError("not a model in torch's zip format (torch.save, from torch 1.6 on)")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            tree = _read_tree(archive, len(data))
    # zipfile raises NotImplementedError for a compression that it does not know, RuntimeError for an encrypted file.
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        if isinstance(error, TensorError):
            raise
        raise TensorError(f"not a whole zip archive: {error}") from error
    if not isinstance(tree, Mapping):
        raise TensorError(f"a model has parameters by name, and this is a {type(tree).__name__}")
    inner, rounds = tree.get("model"), tree.get("cur_round", 0)
    model = inner if isinstance(inner, Mapping) else tree
    if not model:
        raise TensorError("it has no parameters")
    for name, value in model.items():
        if not isinstance(name, str) or not isinstance(value, np.ndarray):
            raise TensorError(f"a model has tensors by name, and its {name!r:.80} is a {type(value).__name__}")
    if sum(value.nbytes for value in model.values()) > _MOST_SHARING * len(data):
        raise TensorError("its tensors are larger than the file: refused")
    return SavedModel(rounds if type(rounds) is int else 0, dict(model))


def load_model(path: Path) -> SavedModel:
    """Read a model file, see :func:`read_model`.

    Raises:
        TensorError: it cannot be read, or is not a model; the text names the file.
    """
    try:
        if not path.is_file():  # a pipe would have us wait for ever
            raise TensorError("there is no such file")
        return read_model(path.read_bytes())
    except OSError as error:
        raise TensorError(f"{path}: cannot be read: {error.strerror}") from error
    except TensorError as error:
        raise TensorError(f"{path}: {error}") from error


def misfit(
    saved: Mapping[str, tuple[int, ...]], own: Mapping[str, tuple[int, ...]], optional: Collection[str] = ()
) -> str:
    """Why a saved model is not one like ``own``; empty if it is. Both are shapes by name.

    Args:
        saved: those of the file.
        own: those of the model that is to take it.
        optional: names that the file may lack.
    """
    for name, shape in saved.items():
        if name not in own:
            return f"it has {name}, which the model does not have"
        if shape != own[name]:
            return f"its {name} has shape {shape}, the model's has {own[name]}"
    missing = next((name for name in own if name not in saved and name not in optional), None)
    return f"it lacks {missing}" if missing else ""


def _read_tree(archive: zipfile.ZipFile, size: int) -> Any:
    members = archive.infolist()
    if any(one.compress_type != zipfile.ZIP_STORED or one.flag_bits & 1 for one in members):
        raise TensorError("its archive is compressed or encrypted: refused, torch's is not")
    if sum(one.file_size for one in members) > size:
        raise TensorError("the files of its archive overlap: refused")
    pickles = [one.filename for one in members if one.filename.count("/") == 1 and one.filename.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise TensorError("its archive has no data.pkl")
    folder = pickles[0].removesuffix("data.pkl")
    names = {one.filename for one in members}
    if f"{folder}byteorder" in names and archive.read(f"{folder}byteorder") != b"little":
        raise TensorError("its numbers are big-endian")
    known: dict[str, bytes] = {}

    def storage(key: str, dtype: np.dtype[Any], count: int) -> Array:
        if key not in known:
            if f"{folder}data/{key}" not in names:
                raise TensorError(f"its archive lacks the elements of a tensor (data/{key:.80})")
            known[key] = archive.read(f"{folder}data/{key}")
        if count * dtype.itemsize != len(known[key]):
            raise TensorError("a tensor is cut short")
        return np.frombuffer(known[key], dtype)

    return load_with_storages(archive.read(pickles[0]), storage)


def _member(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(f"{_FOLDER}/{name}", _NEVER)


def _pickle(arrays: Mapping[str, Array], rounds: int) -> bytes:
    """The pickle as torch writes it (protocol 2, see pickletools), opcode by opcode: torch is not available here."""
    tensors = b"".join(_text(name) + _tensor(str(key), array) for key, (name, array) in enumerate(arrays.items()))
    model = _ORDERED_DICT + b"(" + tensors + b"u"
    return b"\x80\x02}(" + _text("cur_round") + _number(rounds) + _text("model") + model + b"u."


def _tensor(key: str, array: Array) -> bytes:
    name = _STORAGES.get(array.dtype.newbyteorder("<"))
    if name is None:
        raise TensorError(f"torch's files have no arrays of {array.dtype}")
    storage = _text("storage") + f"ctorch\n{name}\n".encode() + _text(key) + _text("cpu") + _number(array.size)
    steps = [1]
    for length in reversed(array.shape[1:]):
        steps.insert(0, steps[0] * length)
    shape, strides = _numbers(array.shape), _numbers(steps[: array.ndim])
    return _REBUILD_TENSOR + b"((" + storage + b"tQ" + _number(0) + shape + strides + b"\x89" + _ORDERED_DICT + b"tR"


def _text(text: str) -> bytes:
    raw = text.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(raw)) + raw


def _number(number: int) -> bytes:
    if -(1 << 31) <= number < 1 << 31:
        return b"J" + struct.pack("<i", number)
    return b"\x8a\x08" + struct.pack("<q", number)


def _numbers(numbers: Iterable[int]) -> bytes:
    return b"(" + b"".join(map(_number, numbers)) + b"t"
