"""Places of FederatedScope that the launcher relies on, and whether they are still what it was made for.

Only what matters is checked: the place exists, takes these parameters, and its code still uses the names that a patch
relies on. Another revision that kept them works.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any

from ..exit_errors import UnsupportedError

MADE_FOR = "0.3.0, revision 480b67d"


@dataclass(frozen=True)
class Place:
    """A function of ``module``; ``name`` is its dotted path in the module.

    ``parameters``: names it must take, in this order, as the first ones. ``mentions``: names that its code must use.
    """

    module: str
    name: str
    parameters: tuple[str, ...] = ()
    mentions: tuple[str, ...] = ()

    def mismatch(self) -> str | None:
        """Why this place is not what it was; None if it is."""
        try:
            found: Any = importlib.import_module(self.module)
        except ImportError as error:
            return str(error)
        for part in self.name.split("."):
            if not hasattr(found, part):
                return f"there is no {part}"
            found = getattr(found, part)
        code = getattr(inspect.unwrap(found), "__code__", None)
        if code is None:
            return "it is not a function"
        taken = code.co_varnames[: code.co_argcount]
        if taken[: len(self.parameters)] != self.parameters:
            return f"it takes ({', '.join(taken)})"
        missing = sorted(set(self.mentions) - set(_names(code)))
        return f"it does not use {', '.join(missing)}" if missing else None


def _names(code: CodeType) -> Iterator[str]:
    yield from (*code.co_names, *code.co_varnames, *code.co_freevars, *code.co_cellvars)
    for constant in code.co_consts:
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, tuple):
            yield from (each for each in constant if isinstance(each, str))
        elif isinstance(constant, CodeType):
            yield from _names(constant)


def version() -> str:
    """FederatedScope's own version."""
    return str(getattr(importlib.import_module("federatedscope"), "__version__", "of an unknown version"))


def expect_for_patch(patch: str, *places: Place) -> None:
    """Check the places that a patch relies on.

    Raises:
        UnsupportedError: FederatedScope has changed; the text names the patch, the place and what helps.
    """
    hint = f"switch it off with federatedscope.patches.{patch}: false"
    _expect(f"patch {patch}", hint, places)


def expect_for_course(part: str, *places: Place) -> None:
    """Check the places that a part of the launcher other than a patch relies on.

    Raises:
        UnsupportedError: FederatedScope has changed.
    """
    _expect(part, "", places)


def _expect(owner: str, hint: str, places: tuple[Place, ...]) -> None:
    for place in places:
        reason = place.mismatch()
        if reason is not None:
            hints = " or ".join(filter(None, (hint, f"use FederatedScope {MADE_FOR}")))
            raise UnsupportedError(
                f"{owner}: {place.module}.{place.name} is not what it was made for "
                f"(FederatedScope {version()}: {reason}); {hints}"
            )
