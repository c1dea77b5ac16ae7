"""JSON objects of a known form as dataclasses, and back: errors name what is missing, unknown or of the wrong type."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from .errors import Exit, FedsimError

T = TypeVar("T")

#: Metadata of a field that :func:`dump` leaves out while it has its default: readers of other versions may not know it.
OMIT_DEFAULT: Mapping[str, Any] = types.MappingProxyType({"omit_default": True})

_KINDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    dict: "an object",
    list: "a list",
    type(None): "null",
}


class FormError(FedsimError, ValueError):
    """Data not of the expected form; the text names the place."""

    exit = Exit.SPEC


def load(kind: type[T], data: object, where: str = "") -> T:
    """Return JSON data as a dataclass.

    Args:
        kind: a dataclass whose fields are plain values, ``Literal``, ``Mapping``, ``tuple[X, ...]`` or dataclasses.
        data: what was read from JSON.
        where: place of ``data`` in the file, for messages.

    Raises:
        FormError: a field without a default is missing, a key is unknown, or a value is of the wrong type.
    """
    if not isinstance(data, Mapping):
        raise FormError(f"{where or 'the file'}: expected an object, not {_describe(data)}")
    known = _form(kind)  # type: ignore[arg-type]  # classes are hashable
    unknown = sorted(str(key) for key in data if key not in known)
    if unknown:
        raise FormError(f"{_path(where, unknown[0])}: unknown key")
    missing = next((name for name, (_, required) in known.items() if required and name not in data), None)
    if missing is not None:
        raise FormError(f"{_path(where, missing)}: missing")
    return kind(**{name: _value(known[name][0], value, _path(where, name)) for name, value in data.items()})


def dump(value: Any) -> Any:
    """Return a dataclass and everything in it as JSON data, in the order of the fields."""
    if isinstance(value, str | int | float | None):
        return value
    if is_dataclass(value):
        kind: Any = type(value)
        found = ((name, getattr(value, name), omitted) for name, omitted in _written(kind))
        return {name: dump(item) for name, item, omitted in found if omitted is MISSING or item != omitted}
    if isinstance(value, Mapping):
        return {key: dump(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [dump(item) for item in value]
    return value


@cache
def _written(kind: Any) -> tuple[tuple[str, Any], ...]:
    """Return each field's name, and the value with which it is left out; MISSING: none."""
    return tuple(
        (field.name, _default(field) if field.metadata.get("omit_default") else MISSING) for field in fields(kind)
    )


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


@cache
def _form(kind: Any) -> dict[str, tuple[Any, bool]]:
    """Return each field's type and whether it is required."""
    hints = get_type_hints(kind)
    return {
        field.name: (hints[field.name], field.default is MISSING and field.default_factory is MISSING)
        for field in fields(kind)
    }


def _value(expected: Any, value: Any, where: str) -> Any:
    if expected is Any:
        return value
    origin, inner = get_origin(expected), get_args(expected)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in inner:
            return None
        others = [one for one in inner if one is not type(None)]
        fitting = [one for one in others if _fits(one, value)]
        return _value(fitting[0] if fitting else others[0], value, where)
    if origin is Literal:
        if value not in inner:
            raise FormError(f"{where}: {value!r} is not one of {', '.join(map(str, inner))}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise FormError(f"{where}: expected a list, not {_describe(value)}")
        return tuple(_value(inner[0], item, f"{where}[{number}]") for number, item in enumerate(value))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise FormError(f"{where}: expected an object, not {_describe(value)}")
        return {str(key): _value(inner[1], item, _path(where, str(key))) for key, item in value.items()}
    if isinstance(expected, type) and is_dataclass(expected):
        return load(expected, value, where)
    if not _fits(expected, value):
        raise FormError(f"{where}: expected {_KINDS[expected]}, not {_describe(value)}")
    return value


def _fits(expected: Any, value: Any) -> bool:
    """Whether a value is of a type; JSON has one kind of number, and ``true`` does not count as one."""
    if expected in (int, float):
        return isinstance(value, int if expected is int else int | float) and not isinstance(value, bool)
    return isinstance(value, expected) if isinstance(expected, type) else True


def _describe(value: Any) -> str:
    return _KINDS.get(type(value), "something else")


def _path(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
