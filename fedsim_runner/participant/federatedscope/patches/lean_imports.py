"""lean_imports: libraries that training does not need fill the memory of a small device.

FederatedScope imports scikit-learn's metrics, which bring pandas and scipy.stats, for three of its metrics, and scipy
for one function and one type. PyTorch imports its compiler, which brings sympy, at the first call of an optimizer, only
to exclude that call from compilation. Here all of them are imported when something really uses them.

Its trainer of ratings takes torch from a module of wandb, which newer versions do not have, and nothing else of it.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from ..upstream import Place

FUNCTIONS = {
    "sklearn.metrics": ("roc_auc_score", "average_precision_score", "f1_score"),
    "scipy.special": ("softmax",),
}
SPARSE = "scipy.sparse.csc"
COMPILER = "torch._dynamo"
TORCH_OF_WANDB = "wandb.wandb_torch"
USERS = ("federatedscope.core.monitors.metric_calculator", "federatedscope.core.data.base_data")
PLACES = (
    Place("torch._compile", "_disable_dynamo", ("fn", "recursive"), ("torch._dynamo", "disable")),
    Place(USERS[0], "eval_roc_auc", ("y_true", "y_prob"), ("roc_auc_score", "softmax")),
    Place(USERS[1], "ClientData.setup", ("self",), ("csc_matrix",)),
)


class Postponed(ModuleType):
    """Stands in for a module. Attributes that it was not given are looked up in the real one, imported on demand."""

    def __init__(self, name: str, **given: Any) -> None:
        super().__init__(name)
        self.__dict__.update(given)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(real_module(self.__name__), name)


def real_module(name: str) -> ModuleType:
    """Import a module that a :class:`Postponed` may have replaced."""
    if isinstance(sys.modules.get(name), Postponed):
        del sys.modules[name]
    module = importlib.import_module(name)
    package, _, last = name.rpartition(".")
    setattr(importlib.import_module(package), last, module)
    return module


def postponed_function(module: str, name: str) -> Callable[..., Any]:
    """A function that is imported when it is called."""

    def call(*arguments: Any, **options: Any) -> Any:
        return getattr(real_module(module), name)(*arguments, **options)

    call.__name__ = name
    return call


class _SparseCheck(type):
    def __instancecheck__(cls, instance: object) -> bool:
        sparse = sys.modules.get("scipy.sparse")  # without this import no such matrix exists
        return sparse is not None and isinstance(instance, sparse.csc_matrix)


class CscMatrix(metaclass=_SparseCheck):
    """For ``isinstance`` only: instances of scipy's type count as instances of this."""


def apply() -> None:
    """Import the modules of FederatedScope that use these libraries without the libraries, before all others."""
    torch = importlib.import_module("torch")
    if COMPILER not in sys.modules:
        compiler = Postponed(COMPILER, disable=_disable, graph_break=_graph_break)
        compiler.__spec__ = importlib.util.find_spec(COMPILER)
        if compiler.__spec__ is not None:  # its submodules can be imported
            compiler.__path__ = list(compiler.__spec__.submodule_search_locations or ())
        sys.modules[COMPILER] = compiler
        setattr(torch, COMPILER.rpartition(".")[2], compiler)
    borrowed = ModuleType(TORCH_OF_WANDB)
    borrowed.__dict__["torch"] = torch
    sys.modules.setdefault(TORCH_OF_WANDB, borrowed)
    with stand_ins():
        for user in USERS:
            importlib.import_module(user)


def _disable(fn: Any = None, recursive: bool = True, **options: Any) -> Any:
    """The effect of the compiler's ``disable`` where nothing is compiled."""
    return fn if fn is not None else lambda function: function


def _graph_break(*arguments: Any, **options: Any) -> None:
    """Where nothing is compiled there is no graph to break."""


@contextmanager
def stand_ins() -> Iterator[None]:
    """Replace the libraries' modules, unless already imported, while the context is open."""
    missing = [name for name in (*FUNCTIONS, SPARSE) if name not in sys.modules]
    for name in missing:
        if name == SPARSE:
            module = ModuleType(SPARSE)
            module.__dict__["csc_matrix"] = CscMatrix
        else:
            given = {function: postponed_function(name, function) for function in FUNCTIONS[name]}
            module = Postponed(name, **given)
        sys.modules[name] = module
    try:
        yield
    finally:
        for name in missing:
            sys.modules.pop(name, None)
