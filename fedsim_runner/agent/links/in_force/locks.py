"""Two locks for the links of a run, so that a change never waits for those who read them."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar


class Locked:
    """Has a lock of those that read the links, which is taken first, and one of the links."""

    def __init__(self) -> None:
        self._reading = threading.RLock()
        self._lock = threading.RLock()


_S = TypeVar("_S", bound=Locked)
_P = ParamSpec("_P")
_T = TypeVar("_T")


def among_readers(method: Callable[Concatenate[_S, _P], _T]) -> Callable[Concatenate[_S, _P], _T]:
    """Hold the lock of those that read the links; a change never waits for them."""

    @functools.wraps(method)
    def call(self: _S, /, *arguments: _P.args, **options: _P.kwargs) -> _T:
        with self._reading:
            return method(self, *arguments, **options)

    return call


def alone(method: Callable[Concatenate[_S, _P], _T]) -> Callable[Concatenate[_S, _P], _T]:
    """Hold both locks: nobody reads the links meanwhile, either."""

    @functools.wraps(method)
    def call(self: _S, /, *arguments: _P.args, **options: _P.kwargs) -> _T:
        with self._reading, self._lock:
            return method(self, *arguments, **options)

    return call
