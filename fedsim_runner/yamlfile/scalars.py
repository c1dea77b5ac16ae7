"""Plain scalars of YAML -> values, where YAML 1.1 and 1.2 agree; else text that says so."""

from __future__ import annotations

import re
from typing import Any

NUMBER_LENGTH_MAX = 40

_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)$")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+$")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$")
_OLD_BOOLEAN = re.compile(r"(yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF)$")
_OCTAL = re.compile(r"[-+]?0o?[0-7_]+$")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+$")
_UNDERSCORES = re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?$")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?$")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t].*)?$")


class Ambiguous(str):
    """Plain text that another YAML reader takes for something else. ``why`` says for what, and what to write."""

    why: str

    def __new__(cls, text: str, why: str) -> Ambiguous:
        value = super().__new__(cls, text)
        value.why = why
        return value

    def __deepcopy__(self, memo: dict[int, Any]) -> Ambiguous:
        return self


def read_scalar(text: str) -> Any:
    """The value of a scalar without quotes."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INTEGER.match(text) or _HEXADECIMAL.match(text) or _FLOAT.match(text):
        if len(text) > NUMBER_LENGTH_MAX:
            return Ambiguous(text, f"a number of more than {NUMBER_LENGTH_MAX} characters")
        if _INTEGER.match(text):
            return int(text)
        if _HEXADECIMAL.match(text):
            return int(text, 16)
        if not _LEADING_ZERO.match(text):
            return float(text)
    return _ambiguous(text)


def _ambiguous(text: str) -> Any:
    """Text, marked if YAML 1.1 (and so FederatedScope's reader) takes it for something else; a float if not finite."""
    if _NOT_FINITE.match(text):
        return float(text.replace(".", "", 1))
    if _OLD_BOOLEAN.match(text):
        truth = "true" if text.lower() in ("yes", "on") else "false"
        return Ambiguous(text, f'YAML 1.1 reads {text} as {truth}, YAML 1.2 as text: write {truth} or "{text}"')
    if _OCTAL.match(text) or _LEADING_ZERO.match(text):
        return Ambiguous(text, f'YAML versions disagree on leading zeros: write a decimal number, or "{text}" for text')
    if "_" in text and _UNDERSCORES.match(text):
        return Ambiguous(text, f"only YAML 1.1 reads {text} as a number: write {text.replace('_', '')}")
    if _SEXAGESIMAL.match(text):
        return Ambiguous(
            text, f'YAML 1.1 reads {text} as a number in base 60: write it in one unit, or "{text}" for text'
        )
    if _DATE.match(text):
        return Ambiguous(text, f'YAML 1.1 reads {text} as a date: write "{text}" for text')
    return text
