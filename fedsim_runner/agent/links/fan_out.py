"""The same work in many devices' network namespaces at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ..host import programs
from . import netns

_WORKERS = 4
_T = TypeVar("_T")


def in_each(namespaces: Mapping[str, str], work: Callable[[str], _T]) -> tuple[dict[str, _T], dict[str, str]]:
    """Call ``work`` with each device's name by a thread that stands in the device's namespace.

    Returns:
        What it returned, by device, and for those where it failed the reason.
    """
    done: dict[str, _T] = {}
    failed: dict[str, str] = {}

    def enter(name: str) -> None:
        try:
            with netns.inside(namespaces[name]):
                done[name] = work(name)
        except (OSError, LookupError, programs.CommandError) as error:
            failed[name] = str(error)

    with ThreadPoolExecutor(min(_WORKERS, max(1, len(namespaces))), "link") as pool:
        list(pool.map(enter, namespaces))
    return done, failed
