"""Doing the same work in many devices' network namespaces in parallel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ..host import programs
from . import netns

_WORKERS = 4
_T = TypeVar("_T")


def in_each(
    namespaces: Mapping[str, str], work: Callable[[str], _T], workers: int = _WORKERS
) -> tuple[dict[str, _T], dict[str, str]]:
    """Call ``work`` with each device's name in a thread inside the device's namespace.

    Args:
        namespaces: path of each device's network namespace.
        work: what to do there.
        workers: threads; more than one help only if the work waits, for example for programs.

    Returns:
        Its results by device, and the reasons of failures by device.
    """
    done: dict[str, _T] = {}
    failed: dict[str, str] = {}

    def enter(name: str) -> None:
        try:
            with netns.inside(namespaces[name]):
                done[name] = work(name)
        except (OSError, LookupError, programs.CommandError) as error:
            failed[name] = str(error)

    with ThreadPoolExecutor(min(workers, max(1, len(namespaces))), "link") as pool:
        list(pool.map(enter, namespaces))
    return done, failed
