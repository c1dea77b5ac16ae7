"""Turning pydantic's errors into ours: in the terms of the file, with its lines and with hints."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ..catalog.data_sets import OWN_FILES
from ..catalog.suggestions import nearest, suggestion
from ..yamlfile.document import Document
from ..yamlfile.scalars import Ambiguous
from ..yamlfile.spec_errors import PathPart
from .misplaced_keys import keys_at, model_at, what_is_meant

_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
_BOUNDS = {
    "greater_than": ("gt", "must be more than"),
    "greater_than_equal": ("ge", "must be at least"),
    "less_than": ("lt", "must be less than"),
    "less_than_equal": ("le", "must be at most"),
}
# Keys of earlier versions.
_RENAMED: dict[tuple[PathPart, ...], str] = {("federatedscope", "mends"): "patches"}


def explain(error: ValidationError, model: type[BaseModel], document: Document) -> None:
    """Report every error of a failed validation at its place in the document."""
    value = document.value()
    for details in error.errors(include_url=False):
        path = path_in(value, details["loc"])
        if details["type"] == "missing" and document.errors_at(path):
            continue  # the key is there, without a value, which has been reported
        message, hint = _compose_message(details, path, model, value)
        document.report(path, message, hint)


def path_in(value: Any, loc: Sequence[PathPart]) -> tuple[PathPart, ...]:
    """A pydantic location without the parts that are not in the file, such as the tags of unions."""
    path: list[PathPart] = []
    for number, part in enumerate(loc):
        if (isinstance(value, dict) and part in value) or (
            isinstance(value, list) and isinstance(part, int) and part < len(value)
        ):
            value = _at(value, (part,))
            path.append(part)
        elif number == len(loc) - 1 and isinstance(value, dict):
            path.append(part)  # a missing key
    return tuple(path)


def _compose_message(
    details: ErrorDetails, path: tuple[PathPart, ...], model: type[BaseModel], root: Any
) -> tuple[str, str | None]:
    kind, given, context = details["type"], details["input"], details.get("ctx", {})
    if kind == "missing":
        key = str(path[-1])
        present = list(_at(root, path[:-1]) or ())
        near = nearest(key, [name for name in present if name not in keys_at(model, path[:-1])])
        return "missing key", None if near is None else f'did you misspell it as "{near}"?'
    if kind == "extra_forbidden":
        if path in _RENAMED:
            return "unknown key", f'it is now called "{_RENAMED[path]}"'
        return "unknown key", what_is_meant(model, path)
    if kind in _EXPECTED:
        message, hint = _explain_type(_EXPECTED[kind], given, path)
        return message, hint or (_as_mapping(given, model, path) if _EXPECTED[kind] == "a mapping" else None)
    if kind in _BOUNDS:
        name, bound = _BOUNDS[kind]
        is_percent = name in ("lt", "le") and context[name] == 1 and isinstance(given, int | float) and 1 < given <= 100
        hint = f"{given:g} % is {given / 100:g}" if is_percent else None
        return f"{bound} {context[name]:.12g}, not {describe(given)}", hint
    if kind == "literal_error":
        choices = re.findall(r"'([^']*)'", str(context["expected"]))
        quoted = [f'"{choice}"' for choice in choices]
        shown = " or ".join(filter(None, (", ".join(quoted[:-1]), quoted[-1])))
        hint = None
        if path == ("topology",):
            shown += ", or a mapping with edges"
            hint = "write topology: {edges: [...]}" if isinstance(given, list) else None
        if isinstance(given, str):
            hint = _own_data_set(given) if path == ("data", "dataset") else None
            hint = hint or suggestion(given, choices, or_all=False)
        return f"must be {shown}, not {describe(given)}", hint
    if kind == "string_pattern_mismatch":
        return f"must be a name of small letters, digits, - and _, not {describe(given)}", _names_at(path)
    if kind in ("too_short", "too_long"):
        least, most = context.get("min_length"), context.get("max_length")
        bound = "" if least == most else "at least " if least else "at most "
        return f"must have {bound}{least or most:,} entries, not {context['actual_length']:,}", None
    if kind == "finite_number":
        return f"must be a finite number, not {describe(given)}", None
    return details["msg"], None


def _as_mapping(given: Any, model: type[BaseModel], path: tuple[PathPart, ...]) -> str | None:
    """How to write a value as the mapping that belongs there; None: that has not just one key which it must have."""
    found = model_at(model, path)
    needed = [name for name, field in found.model_fields.items() if field.is_required()] if found else []
    if len(needed) != 1:
        return None
    if isinstance(given, int | float) and not isinstance(given, bool):
        return f"write {{{needed[0]}: {given}}}"
    if isinstance(given, list) and all(isinstance(one, str) for one in given):
        return f"write {{{needed[0]}: [{', '.join(given)}]}}"
    return None


def _names_at(path: tuple[PathPart, ...]) -> str | None:
    """Names that are usual at a place where any is taken."""
    return "usual ones are cubic, bbr and reno" if path and path[-1] == "congestion_control" else None


def _own_data_set(given: str) -> str | None:
    """What to write where a path is given in place of a data set's name; None: it is no path."""
    kind = PurePath(given).suffix.lower().removeprefix(".")
    if kind in OWN_FILES:
        return f"write dataset: {kind}, and path: {given}"
    if "/" in given:
        return (
            "the samples as arrays in a file are dataset: npz, with path; a loader of your own in contrib/data of a "
            "FederatedScope that federatedscope.source names is dataset: federatedscope"
        )
    return None


def _explain_type(expected: str, given: Any, path: tuple[PathPart, ...]) -> tuple[str, str | None]:
    message = f"must be {expected}, not {describe(given)}"
    hint = None
    if expected == "text" and path and path[-1] == "network":
        message = f"must be the name of a network profile or a mapping, not {describe(given)}"
    elif expected == "a list" and path and path[-1] == "available":
        message = f"must be a list of windows or a mapping, not {describe(given)}"
    elif expected == "text" and path and path[-1] == "trace" and "available" not in path:
        message = f"must be a trace's file or a mapping, not {describe(given)}"
    elif isinstance(given, Ambiguous):
        hint = given.why
    elif isinstance(given, str) and expected.endswith("number"):
        number = re.match(r"\s*([-+]?[0-9]+(?:\.[0-9]+)?)\s*([A-Za-z%/]*)\s*$", given)
        if number and number[2] == "%":
            hint = f"write {float(number[1]) / 100:g}"
        elif number and number[2]:
            hint = "the unit is in the key's name" if "_" in str(path[-1]) else "write the bare number"
        elif number:
            hint = f"write {number[1]} without quotes"
    elif expected == "text" and isinstance(given, int | float):
        hint = f'write "{str(given).lower() if isinstance(given, bool) else given}" in quotes if you mean text'
    elif expected == "a list" and isinstance(given, dict):
        hint = "start each entry with a hyphen"
    return message, hint


def describe(value: Any) -> str:
    """Describe a value as a reader of the file would."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'the text "{value}"' if len(value) <= 60 else f'the text "{value[:57]}..."'
    if isinstance(value, int | float):
        return str(value)
    return "a list" if isinstance(value, list) else "a mapping"


def _at(value: Any, path: Sequence[PathPart]) -> Any:
    for part in path:
        value = value[part]
    return value
