"""Doing the same work in many devices' network namespaces in parallel."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ..host import programs
from . import netns

_WORKERS = 4
_T = TypeVar("_T")

_LONGEST_WAIT_S = 1.0
#: For so long a thread goes on running once another one could, and while one is in a hurry. The first is Python's own.
_SWITCH_S, _HURRIED_SWITCH_S = 0.005, 0.0005


class _Hurry:
    """At most one thread is in a hurry, which holds the lock of the links."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.over.set()
        self.thread: int | None = None


_hurry = _Hurry()


@contextlib.contextmanager
def hurry() -> Iterator[None]:
    """Run the block while other threads that work on many devices pause after each: Python runs one at a time.

    A thread that calls the kernel lets others run, and then waits up to 5 ms until one of them does so in turn,
    whatever its priority; here it is half a millisecond. A change of a hundred links makes hundreds of calls.
    """
    sys.setswitchinterval(_HURRIED_SWITCH_S)
    _hurry.thread = threading.get_ident()
    _hurry.over.clear()
    try:
        yield
    finally:
        sys.setswitchinterval(_SWITCH_S)
        _hurry.thread = None
        _hurry.over.set()


def give_way() -> None:
    """Wait while another thread is in a hurry."""
    if _hurry.thread != threading.get_ident():
        _hurry.over.wait(_LONGEST_WAIT_S)


def in_each(
    namespaces: Mapping[str, str], work: Callable[[str], _T], workers: int = _WORKERS
) -> tuple[dict[str, _T], dict[str, str]]:
    """Call ``work`` with each device's name in a thread inside the device's namespace.

    Args:
        namespaces: path of each device's network namespace.
        work: what to do there.
        workers: threads; more than one help only if the work waits, for example for programs.

    Returns:
        Its results by device, and the reasons of failures by device, both in the order of the devices.
    """
    done: dict[str, _T] = {}
    failed: dict[str, str] = {}

    own = _hurry.thread == threading.get_ident()

    def enter(name: str) -> None:
        if not own:
            _hurry.over.wait(_LONGEST_WAIT_S)
        try:
            with netns.inside(namespaces[name]):
                done[name] = work(name)
        except (OSError, LookupError, programs.CommandError) as error:
            failed[name] = str(error)

    with ThreadPoolExecutor(min(workers, max(1, len(namespaces))), "link") as pool:
        list(pool.map(enter, namespaces))
    return _in_order(namespaces, done), _in_order(namespaces, failed)


def _in_order(names: Iterable[str], values: Mapping[str, _T]) -> dict[str, _T]:
    """Values in the order of the names, whichever thread was first."""
    return {name: values[name] for name in names if name in values}
