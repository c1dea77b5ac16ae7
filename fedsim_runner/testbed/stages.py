"""The stages of a run as data: what the shell gets if one fails, and what has to be done about the run then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..contract.errors import Exit

COLLECT = "collect"
DESTROY = "destroy"


@dataclass(frozen=True)
class Stage:
    """A part of a run that is shown with its time; on lab hosts it is the play of this name.

    Attributes:
        exit: what the command ends with if the stage fails.
        leaves: whether a run that ends here may have left something that is to be removed.
        collect: whether a run that ends here has a journal or output that could be fetched.
        live: whether devices work in it, so that a terminal shows each of them.
    """

    name: str
    exit: Exit = Exit.PROVISIONING
    leaves: bool = True
    collect: bool = False
    live: bool = False


def stage_named(stages: Sequence[Stage], name: str | None) -> Stage:
    """The stage of this name. Before the first one (None) a run may have left something, too."""
    return next((stage for stage in stages if stage.name == name), Stage(name or "start"))


def clean_up(failed: Stage, keep: bool) -> list[str]:
    """What follows a run that ended in stage ``failed``, in this order."""
    return [COLLECT] * failed.collect + [DESTROY] * (failed.leaves and not keep)


def exit_of(failed: Stage, wanted: int | None = None) -> Exit:
    """The exit code of a run that failed in a stage; ``wanted`` is what the failed module asks for."""
    return Exit(wanted) if wanted is not None and wanted in set(Exit) else failed.exit
