"""A piece of the lab host's kernel that a link back end needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Need:
    """What it is, what it holds, and how to find out whether it is there."""

    piece: str  # its key in the probe's answer
    label: str  # as people write it
    holds: str  # what of a link
    module: str  # the kernel module that brings it
    #: Uses it in a scratch namespace. OSError or CommandError: it is missing.
    trial: Callable[[], str | None]
    detail: str | None = None  # the key under which the probe keeps what the trial returned
    hint: Callable[[], str | None] = lambda: None  # a fix that is nearer than the kernel module, where there is one
