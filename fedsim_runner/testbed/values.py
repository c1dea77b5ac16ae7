"""What the life of a run and a testbed say to each other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..contract.errors import Exit, FedsimError
from ..plan.model import Plan
from .stages import Stage


@dataclass(frozen=True)
class Traits:
    """What a testbed is, known before anything is made.

    Attributes:
        name: as in manifests and in the registry of runs.
        devices_are: what stands for the devices, in the plural.
        on_interrupt: what the first Ctrl-C does to a run.
        stages: in order.
        builds_images: whether engines are installed into images, from which they can be installed again.
    """

    name: str
    devices_are: str
    on_interrupt: str
    stages: tuple[Stage, ...]
    builds_images: bool = False


@dataclass(frozen=True)
class Lack:
    """Something of a plan that a testbed cannot hold, and what the user can do about it."""

    what: str
    hint: str


@dataclass(frozen=True)
class Order:
    """A run as a testbed gets it.

    Attributes:
        plan: what is to be built.
        folder: the run folder; experiment, plan and inventory lie there already.
        keep: leave the testbed up after the course.
        live: somebody watches a terminal, so news are wanted even if nothing happens.
        devices: pattern of the devices to work on; None: all.
        image_base: image to build on instead of looking for one.
    """

    plan: Plan
    folder: Path
    keep: bool = False
    live: bool = False
    devices: str | None = None
    image_base: str | None = None

    @property
    def run(self) -> str:
        return self.plan.run


class Listener(Protocol):
    """Whoever wants to know how a testbed gets on, and may stop it."""

    def stage(self, name: str) -> None:
        """A stage begins."""

    def event(self, event: Mapping[str, Any]) -> None:
        """A journal event (see :mod:`fedsim_runner.contract.events`)."""

    def snapshot(self, snapshot: Mapping[str, Any]) -> None:
        """What the course and its devices do right now (see :mod:`fedsim_runner.console.live`)."""

    def cancelled(self) -> bool:
        """Asked often: whether the work is to end where it is."""


@dataclass(frozen=True)
class Failure:
    """Why the work ended: ``text`` is for people. ``exit_code`` where a module asks for a certain one."""

    stage: str | None
    task: str | None
    host: str | None
    text: str
    exit_code: int | None = None


class Stopped(Exception):  # noqa: N818 - an interrupt is no error
    """The work ended before its time: it failed, or was cancelled (``failure`` None). ``log`` holds the rest."""

    def __init__(self, stage: str | None, failure: Failure | None = None, log: Path | None = None) -> None:
        super().__init__(failure.text if failure else f"interrupted in stage {stage}")
        self.stage = stage
        self.failure = failure
        self.log = log


class UnreachableError(FedsimError):
    """A lab host cannot be asked; the text says why and what helps."""

    exit = Exit.LAB


# Colours and other steering of a terminal.
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@dataclass(frozen=True)
class Line:
    """A line of a device's log without colours; ``at`` orders lines of several devices."""

    device: str
    text: str
    at: tuple[Any, ...] = ()
