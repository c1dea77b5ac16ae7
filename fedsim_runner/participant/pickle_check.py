"""Texts in which a program may find a pickle: whether one of them asks for anything but tensors and arrays of numbers.

FederatedScope sends a tensor as base64 of its pickle, and code of a user's own may unpickle any text that it receives.
So each text is looked at as that code would, but with stand-ins for all that a pickle can call.
"""

from __future__ import annotations

import base64
import io
import pickletools
import re
from typing import Any

from .tensors import (
    CONSTRUCTORS,
    MOST_CALLS,
    Constructor,
    TensorError,
    TensorUnpickler,
    array_of_numbers,
    check_operations,
)

# Operations that find something by its name; without one, a pickle can call nothing.
_NAMING = frozenset(("GLOBAL", "STACK_GLOBAL", "INST"))
# They name by a number what somebody has registered for it: nobody has, and the pickle ends here.
_EXTENSIONS = frozenset(("EXT1", "EXT2", "EXT4"))
_NUMBERING = frozenset(("LONG_BINPUT", "PUT"))
_FEW = 1 << 16  # objects, whose numbers take no memory to speak of
# With which of its complaints pickletools comes to the end that the interpreter's unpickler comes to as well.
_SAME_END = re.compile(
    r"opcode .* unknown|pickle exhausted|only \d+ remain|no newline found|not enough data|byte count"
    r"|'utf-8' codec|'rawunicodeescape'|quotes? |literal for int|string to float"
)
# It refers to something outside a pickle: where there is nothing, unpickling ends.
_OUTSIDE = b"P"
_NUMBERS = re.compile(r"[<>=|]?[biufc]\d{1,2}")
_SHORTEST = len(base64.b64encode(b"ca\nb\n."))


def check_texts(content: Any) -> None:
    """Check all texts in the content of a message.

    Raises:
        TensorError: one of them is a pickle that asks for more than numbers; the text names what.
    """
    left = [content]
    while left:
        item = left.pop()
        if isinstance(item, str):
            check_text(item)
        elif isinstance(item, dict):
            left.extend(item.values())
        elif isinstance(item, list):
            left.extend(item)


def check_text(text: str) -> None:
    """Check one text.

    Raises:
        TensorError: decoded as FederatedScope does, it is a pickle that asks for more than numbers.
    """
    if len(text) < _SHORTEST:
        return
    try:
        data = base64.b64decode(text)
    except ValueError:
        return
    if not data.startswith(_OUTSIDE) and _may_ask(data):
        _go_through(data)


def _may_ask(data: bytes) -> bool:
    """Whether bytes are so much of a pickle that it may name something, or take memory for a number that it names."""
    try:
        for count, (operation, argument, _) in enumerate(pickletools.genops(data)):
            if operation.name in _EXTENSIONS:
                return False
            if operation.name in _NAMING:
                # One that takes two texts from before it ends a pickle that has none there.
                return operation.name != "STACK_GLOBAL" or count >= 2
            # With nothing before it, it numbers nothing, and the pickle ends here.
            if operation.name in _NUMBERING and count and int(argument or 0) > count + _FEW:
                return True
    except ValueError as error:
        return _SAME_END.search(str(error)) is None
    return False


def _go_through(data: bytes) -> None:
    stream = io.BytesIO(data)
    check = _StandIns(stream)
    try:
        check_operations(stream, MOST_CALLS)
        check.load()
    except TensorError:
        raise
    except Exception as error:  # a broken pickle raises nearly anything
        raise TensorError(f"a text is a broken pickle: {type(error).__name__}") from error


class _Numbers:
    """Stands for numpy's array, or for the type of its elements, while a pickle gives it its state."""

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple):
            raise TensorError("the state of an array is not what numpy writes")


class _Array(_Numbers):
    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], _Type):
            raise TensorError("an array is not made of numbers")


class _Type(_Numbers):
    pass


_ARRAY = object()


def _begin_array(kind: Any, shape: Any, _: Any) -> _Array:
    if kind is not _ARRAY or shape != (0,):
        raise TensorError("an array does not begin as numpy writes it")
    return _Array()


def _type(name: Any, *_: Any) -> _Type:
    if not isinstance(name, str) or not _NUMBERS.fullmatch(name):
        raise TensorError("an array is not made of numbers")
    return _Type()


def _number(kind: Any, data: Any) -> _Numbers:
    if not isinstance(kind, _Type) or not isinstance(data, bytes):
        raise TensorError("a number is not what numpy writes")
    return _Numbers()


_OF_NUMPY: dict[str, Any] = {
    "_reconstruct": Constructor(_begin_array),
    "scalar": Constructor(_number),
    "dtype": Constructor(_type),
    "ndarray": _ARRAY,
}
_MODULES_OF_NUMPY = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray")


class _StandIns(TensorUnpickler):
    """Knows what tensors and numpy's arrays of numbers are made with, and no other name."""

    def find_class(self, module: str, name: str) -> Any:
        if module in _MODULES_OF_NUMPY and name in _OF_NUMPY:
            return _OF_NUMPY[name]
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return Constructor(lambda data, *_: array_of_numbers(data))
        if (module, name) in CONSTRUCTORS or module == "torch.storage":
            return super().find_class(module, name)
        raise TensorError(f"a text is a pickle that asks for {module}.{name}: only numbers, tensors and arrays may be")
