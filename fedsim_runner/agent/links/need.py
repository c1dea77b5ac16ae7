"""A piece of the lab host's kernel that a link back end needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Need:
    """What the piece is, which link properties it provides, and how to find out whether it is there."""

    piece: str  # its key in the probe's answer
    label: str  # its name for people
    holds: str  # the link properties that it provides
    module: str  # the kernel module that contains it
    #: Uses the piece in a scratch namespace. OSError or CommandError: it is missing.
    trial: Callable[[], str | None]
    detail: str | None = None  # the key under which the probe stores the trial's result
    hint: Callable[[], str | None] = lambda: None  # a simpler fix than the kernel module, if there is one
