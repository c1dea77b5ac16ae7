"""The values that are exchanged between the life cycle of a run and a testbed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..contract.errors import Exit, FedsimError
from ..contract.log_text import harmless
from ..plan.model import Plan
from .stages import Stage


@dataclass(frozen=True)
class Traits:
    """Properties of a testbed that are known before anything is made.

    Attributes:
        name: its name in manifests and in the registry of runs.
        devices_are: what represents the devices, in the plural.
        on_interrupt: message that says what the first Ctrl-C does to a run.
        stages: its stages, in order.
        builds_images: whether engines are installed into images, so that their sources are kept for a rerun.
        limits: whether devices have limits and links, and something can happen to them.
    """

    name: str
    devices_are: str
    on_interrupt: str
    stages: tuple[Stage, ...]
    builds_images: bool = False
    limits: bool = True


@dataclass(frozen=True)
class Lack:
    """A part of a plan that a testbed cannot honour, and what the user can do about it."""

    what: str
    hint: str


@dataclass(frozen=True)
class Order:
    """A run as it is given to a testbed.

    Attributes:
        plan: the plan to build.
        folder: the run folder, which already holds experiment, plan and inventory.
        keep: leave the testbed up after the course.
        live: somebody is watching a terminal, so snapshots are sent even if nothing happens.
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
    """Follows the progress of a testbed and may stop it."""

    def stage(self, name: str) -> None:
        """A stage begins."""

    def detail(self, text: str) -> None:
        """What there is to say about a stage that takes a while, such as how far images are on their way."""

    def event(self, event: Mapping[str, Any]) -> None:
        """A journal event (see :mod:`fedsim_runner.contract.events`)."""

    def snapshot(self, snapshot: Mapping[str, Any]) -> None:
        """The current state of the course and its devices (see :mod:`fedsim_runner.console.live`)."""

    def cancelled(self) -> bool:
        """Whether the work should stop now; asked often."""


@dataclass(frozen=True)
class Failure:
    """Why the work ended: ``text`` is for people; ``exit_code`` is set where a module asks for a certain one.

    ``host`` may name several lab hosts, with commas.
    """

    stage: str | None
    task: str | None
    host: str | None
    text: str
    exit_code: int | None = None


class Stopped(Exception):  # noqa: N818 - an interrupt is not an error
    """The work ended early: it failed, or was cancelled (``failure`` None). ``log`` holds the whole output."""

    def __init__(self, stage: str | None, failure: Failure | None = None, log: Path | None = None) -> None:
        super().__init__(failure.text if failure else f"interrupted in stage {stage}")
        self.stage = stage
        self.failure = failure
        self.log = log


class UnreachableError(FedsimError):
    """A lab host does not answer; the text says why and what helps.

    ``found``: what is on the others, where all were asked for the names of what runs have.
    """

    exit = Exit.LAB

    def __init__(self, message: str, found: Mapping[str, Sequence[str]] | None = None) -> None:
        super().__init__(message)
        self.found: Mapping[str, Sequence[str]] = found or {}


# Colours and other control sequences of a terminal.
@dataclass(frozen=True)
class Line:
    """A line of a device's log, without anything that controls a terminal; ``at`` orders lines of several devices."""

    device: str
    text: str
    at: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", harmless(self.text))
