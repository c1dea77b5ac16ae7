"""Tensors on the wire and in shards, without torch and without running code from a pickle.

FederatedScope sends model parameters as base64 of a pickled torch tensor, or as nested lists. They are read here by an
unpickler that knows a fixed list of names and refuses all others. Before that, a pickle's operations are looked at: the
interpreter's own unpickler takes memory for any number that a pickle names, and repeats any call as often as it says.
"""

from __future__ import annotations

import base64
import io
import math
import pickle
import pickletools
import struct
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .exit_errors import ParticipantError

Array = npt.NDArray[Any]

# torch's storage classes, by element type.
STORAGE_DTYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
# Calls in the pickle of one tensor: torch's has three, ours has four.
MOST_CALLS = 8
# A tensor has four tuples. As the key of a mapping, 200,000 in one another overflow the interpreter's stack.
_MOST_TUPLES = 20_000
_TUPLES = frozenset(("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"))
_MOST_DIMENSIONS = 32
# Operations with which Python and torch write tensors, and mappings of them.
_OPERATIONS = frozenset((
    "PROTO", "FRAME", "STOP", "MARK", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD", "BINPERSID", "NONE",
    "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE",
    "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "EMPTY_TUPLE", "TUPLE",
    "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_DICT", "SETITEM", "SETITEMS",
    "BINPUT", "LONG_BINPUT", "MEMOIZE", "BINGET", "LONG_BINGET",
))  # fmt: skip


class TensorError(ParticipantError):
    """Bytes that are not a tensor, or a pickle that asks for more than tensors."""


def decode_parameter(value: Any) -> Array:
    """Decode one model parameter as FederatedScope sends it: base64 of a pickle, nested lists, or a number.

    Raises:
        TensorError: the value has another form.
    """
    if isinstance(value, str):
        try:
            loaded = loads(base64.b64decode(value, validate=True), most_calls=MOST_CALLS)
        except ValueError as error:  # other letters than ASCII, or than base64 has
            raise TensorError(f"a parameter is not base64: {error}") from error
        if not isinstance(loaded, np.ndarray) or loaded.dtype.kind not in "fiub":
            raise TensorError(f"a parameter is a {type(loaded).__name__}, not a tensor of numbers")
        return loaded
    if not isinstance(value, list | float | int):  # numpy would read None as not-a-number
        raise TensorError(f"a parameter is a {type(value).__name__}, not a list of numbers")
    try:
        with np.errstate(over="ignore"):  # what is too large becomes infinite
            return np.asarray(value, dtype=np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise TensorError(f"a parameter is not a regular list of numbers: {error}") from error


def decode_parameters(content: Any) -> dict[str, Array]:
    """Decode a model's parameters, by name.

    Raises:
        TensorError: ``content`` is not a mapping of parameters.
    """
    if not isinstance(content, Mapping):
        raise TensorError(f"expected parameters by name, got {type(content).__name__}")
    return {str(name): decode_parameter(value) for name, value in content.items()}


def encode_parameters(parameters: Mapping[str, Array]) -> dict[str, str]:
    """Encode a model's parameters for FederatedScope's receivers: base64 of a pickle that builds a torch tensor."""
    return {name: base64.b64encode(_dumps(value)).decode("ascii") for name, value in parameters.items()}


def loads(data: bytes, most_calls: int | None = None) -> Any:
    """Unpickle tensors, numbers, strings, lists and dicts; tensors come as numpy arrays.

    Args:
        most_calls: how often the pickle may call a constructor: each call may copy all that it holds.

    Raises:
        TensorError: the pickle is broken, or names anything else.
    """
    try:
        return _load(io.BytesIO(data), most_calls)
    except TensorError:
        raise
    except Exception as error:  # a broken pickle raises nearly anything
        raise TensorError(f"not a pickle of tensors: {type(error).__name__}: {error}") from error


def load_with_storages(data: bytes, storage: Callable[[str, np.dtype[Any], int], Array]) -> Any:
    """Unpickle as :func:`loads` does, where the pickle only refers to the elements of its tensors.

    The arrays that it returns are read-only views: many tensors may refer to the same elements, and take no memory.

    Args:
        storage: returns the elements for a key, a type and a count; it may raise a TensorError.

    Raises:
        TensorError: the pickle is broken, or names anything else.
    """
    stream = io.BytesIO(data)
    try:
        check_operations(stream, None)
        return TensorUnpickler(stream, storage).load()
    except TensorError:
        raise
    except Exception as error:  # a broken pickle raises nearly anything
        raise TensorError(f"not a pickle of tensors: {type(error).__name__}: {error}") from error


class _StorageType:
    __slots__ = ("dtype",)

    def __init__(self, name: str) -> None:
        self.dtype = np.dtype(STORAGE_DTYPES[name])

    def __setstate__(self, state: Any) -> None:
        raise TensorError("a pickle sets the state of an object without state: refused")


class Constructor:
    """A function that a pickle may call. A bare function would let it set attributes of ours (opcode BUILD)."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise TensorError("a pickle sets the state of an object without state: refused")


class TensorUnpickler(pickle.Unpickler):
    """Knows the constructors of tensors and no other name. ``storage``: where the elements are, if elsewhere."""

    def __init__(self, stream: io.BytesIO, storage: Callable[[str, np.dtype[Any], int], Array] | None = None) -> None:
        super().__init__(stream)
        self._storage = storage
        self.storages: dict[str, tuple[np.dtype[Any], int]] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module in ("torch", "torch.storage") and name in STORAGE_DTYPES:
            return _StorageType(name)
        known = CONSTRUCTORS.get((module, name))
        if self._storage is not None:
            known = _CONSTRUCTORS_OF_VIEWS.get((module, name))
        if known is None:
            raise TensorError(f"a pickle asks for {module}.{name}: refused, only tensors are read")
        return known

    def persistent_load(self, pid: Any) -> Any:
        kind, storage_type, key, _, count = pid[:5]
        if kind != "storage" or not isinstance(storage_type, _StorageType):
            raise TensorError("a pickle refers to something that is not a tensor storage")
        if self._storage is not None:
            return self._storage(str(key), storage_type.dtype, int(count))
        self.storages[str(key)] = (storage_type.dtype, int(count))
        return str(key)


def _load(stream: io.BytesIO, most_calls: int | None) -> Any:
    check_operations(stream, most_calls)
    return TensorUnpickler(stream).load()


def check_operations(stream: io.BytesIO, most_calls: int | None) -> None:
    """Check the pickle that begins here, and go back to its beginning."""
    begin, calls, tuples = stream.tell(), 0, 0
    for count, (operation, argument, _) in enumerate(pickletools.genops(stream)):
        calls += operation.name == "REDUCE"
        tuples += operation.name in _TUPLES
        if operation.name not in _OPERATIONS:
            raise TensorError(f"a pickle has the operation {operation.name}: refused, tensors do without it")
        if operation.name in ("BINPUT", "LONG_BINPUT") and (argument is None or argument > count):
            raise TensorError(f"a pickle numbers an object {argument}: refused, it has not so many")
        if tuples > _MOST_TUPLES:
            raise TensorError(f"a pickle makes more than {_MOST_TUPLES} tuples: refused, a model needs fewer")
        if most_calls is not None and calls > most_calls:
            raise TensorError(f"a pickle makes more than {most_calls} calls: refused, a tensor needs fewer")
    stream.seek(begin)


def _load_from_bytes(data: bytes) -> Array:
    """A tensor storage in torch's legacy file format: four pickles, then count and elements per storage."""
    stream = io.BytesIO(data)
    magic = _load(stream, 0)
    protocol = _load(stream, 0)
    if (magic, protocol) != (_LEGACY_MAGIC, _LEGACY_PROTOCOL):
        raise TensorError("a tensor is not in torch's legacy format")
    if not _load(stream, 0).get("little_endian", True):
        raise TensorError("a tensor is big-endian")
    check_operations(stream, 0)
    body = TensorUnpickler(stream)
    key = body.load()
    _load(stream, 0)  # keys in file order: one storage, so one key
    dtype, count = body.storages[key]
    (stored,) = struct.unpack("<q", stream.read(8))
    raw = stream.read(stored * dtype.itemsize)
    if stored != count or len(raw) != stored * dtype.itemsize:
        raise TensorError("a tensor is cut short")
    return np.frombuffer(raw, dtype)


def _rebuild_tensor(*arguments: Any) -> Array:
    return _view_tensor(*arguments).copy()


def _view_tensor(storage: Array, offset: int, size: Any, stride: Any, *_: Any) -> Array:
    if max(len(size), len(stride)) > _MOST_DIMENSIONS:
        raise TensorError(f"a tensor has more than {_MOST_DIMENSIONS} dimensions")
    shape = tuple(int(n) for n in size)
    strides = tuple(int(n) for n in stride)
    if not isinstance(storage, np.ndarray) or offset < 0 or any(n < 0 for n in shape + strides):
        raise TensorError("a tensor's shape is not valid")
    # More elements than stored ones would be repetitions: a few bytes could claim all of our memory.
    if math.prod(shape) > storage.size:
        raise TensorError("a tensor is larger than its storage")
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if all(shape) and last >= storage.size:
        raise TensorError("a tensor reaches beyond its storage")
    return np.lib.stride_tricks.as_strided(
        storage[offset:], shape, tuple(step * storage.itemsize for step in strides), writeable=False
    )


def _from_buffer(data: Any, dtype: Any) -> Array:
    kind = np.dtype(str(dtype))
    if not isinstance(data, bytes) or kind.kind not in "fiub" or kind.shape:
        raise TensorError("an array is not made of numbers")
    return np.frombuffer(data, kind)


def _reshape(array: Any, shape: Any) -> Array:
    return np.reshape(array_of_numbers(array), shape)


def _copy(array: Any) -> Array:
    return np.copy(array_of_numbers(array))


def array_of_numbers(value: Any) -> Array:
    # Numpy would make an array of any nested lists: a few of them, each in the next a hundred times, fill any memory.
    if not isinstance(value, np.ndarray):
        raise TensorError(f"an array is made of a {type(value).__name__}: refused")
    return value


CONSTRUCTORS: dict[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor_v2"): Constructor(_rebuild_tensor),
    ("torch.storage", "_load_from_bytes"): Constructor(_load_from_bytes),
    ("collections", "OrderedDict"): Constructor(lambda: OrderedDict()),
    ("torch", "from_numpy"): Constructor(array_of_numbers),
    ("numpy", "frombuffer"): Constructor(_from_buffer),
    ("numpy", "reshape"): Constructor(_reshape),
    ("numpy", "copy"): Constructor(_copy),
}
_CONSTRUCTORS_OF_VIEWS: dict[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor_v2"): Constructor(_view_tensor),
    ("torch._utils", "_rebuild_parameter"): Constructor(lambda data, *_: array_of_numbers(data)),
    ("collections", "OrderedDict"): CONSTRUCTORS["collections", "OrderedDict"],
}


def _dumps(value: Array) -> bytes:
    """The pickle of ``torch.from_numpy(numpy.copy(numpy.reshape(numpy.frombuffer(data, dtype), shape)))``.

    Written opcode by opcode (pickle protocol 3, see pickletools) because torch is not available here, and because
    the names in numpy's own pickles differ between its major versions.
    """
    array = np.ascontiguousarray(value)
    raw, dtype = array.tobytes(), array.dtype.str.encode("ascii")
    shape = b"".join(b"J" + struct.pack("<i", n) for n in array.shape)
    return b"".join(
        (
            b"\x80\x03",
            b"ctorch\nfrom_numpy\ncnumpy\ncopy\ncnumpy\nreshape\ncnumpy\nfrombuffer\n",
            b"B" + struct.pack("<I", len(raw)) + raw,
            b"X" + struct.pack("<I", len(dtype)) + dtype,
            b"\x86R",  # frombuffer(data, dtype)
            b"(" + shape + b"t\x86R",  # reshape(that, shape)
            b"\x85R\x85R.",  # from_numpy(copy(that))
        )
    )
