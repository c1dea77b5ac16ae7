"""Importing FederatedScope's contrib modules one by one: one that cannot be imported is left out, with its reason.

FederatedScope imports all modules of a contrib folder by one statement, which ends at the first that lacks a package.
Standard library only, and nothing of ours: the program that exports data sets loads this file in the user's
interpreter.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType

FOLDER = "federatedscope.contrib"


class ContribFinder(MetaPathFinder):
    """Finds the modules of contrib folders. ``left_out``: why modules could not be imported, by file."""

    def __init__(self) -> None:
        self.left_out: dict[str, str] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find ``federatedscope.contrib.<folder>.<module>`` and nothing else."""
        if fullname.count(".") != 3 or not fullname.startswith(f"{FOLDER}."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _Loader(spec.loader.name, spec.loader.path, self.left_out)
        return spec


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, left_out: dict[str, str]) -> None:
        super().__init__(name, path)
        self._left_out = left_out

    def exec_module(self, module: ModuleType) -> None:
        try:
            super().exec_module(module)
        except Exception as error:  # a user's module may fail in any way
            reason = f"{type(error).__name__}: {error}"
            self._left_out["/".join(module.__name__.split(".")[2:]) + ".py"] = reason
            module.__dict__["__getattr__"] = _refusing(module.__name__, reason)


def _refusing(name: str, reason: str) -> object:
    """Give whoever needs the module the reason why there is nothing in it."""

    def refuse(attribute: str) -> object:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        raise ImportError(f"{name} could not be imported: {reason}")

    return refuse


_FINDER = ContribFinder()


def leave_out_what_fails() -> None:
    """Import contrib modules so from now on."""
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)


def describe_left_out() -> str:
    """The modules that could not be imported, and why; empty without any."""
    return "; ".join(f"contrib/{name} ({reason})" for name, reason in sorted(_FINDER.left_out.items()))
