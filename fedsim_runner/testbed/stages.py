"""The stages of a run as data: the exit code if one fails, and what then has to be done about the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..contract.errors import Exit

COLLECT = "collect"
DESTROY = "destroy"


@dataclass(frozen=True)
class Stage:
    """A part of a run whose duration is shown; on lab hosts it is the play of this name.

    Attributes:
        exit: exit code of the command if the stage fails.
        leaves: whether a run that ends here may have left something that has to be removed.
        collect: whether a run that ends here has a journal or output that could be fetched.
        live: whether devices work in this stage, so that a terminal shows each of them.
    """

    name: str
    exit: Exit = Exit.PROVISIONING
    leaves: bool = True
    collect: bool = False
    live: bool = False


def stage_named(stages: Sequence[Stage], name: str | None) -> Stage:
    """The stage of this name. A run that ended before the first stage (None) may have left something, too."""
    return next((stage for stage in stages if stage.name == name), Stage(name or "start"))


def clean_up(failed: Stage, keep: bool) -> list[str]:
    """The steps that follow a run that ended in stage ``failed``, in this order."""
    return [COLLECT] * failed.collect + [DESTROY] * (failed.leaves and not keep)


def exit_of(failed: Stage, requested: int | None = None) -> Exit:
    """The exit code of a run that failed in a stage; ``requested`` is the code that the failed module asks for."""
    return Exit(requested) if requested is not None and requested in set(Exit) else failed.exit
