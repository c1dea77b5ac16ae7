"""Removing a run from its testbed, and showing a failure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..console.progress import Progress
from ..testbed.protocol import Testbed
from ..testbed.run_listener import RunListener
from ..testbed.values import Stopped
from .left_over import left_over, why_unknown

# A second try, in case a call that was in flight left something behind.
TRIES = 2


@dataclass(frozen=True)
class TeardownResult:
    """The result of a teardown.

    Attributes:
        left: names of what is still there.
        stopped: set if the (last) try failed or was interrupted.
        not_tried: the user had already asked twice to leave things as they are.
    """

    left: Sequence[str] = ()
    stopped: Stopped | None = None
    not_tried: bool = False

    @property
    def interrupted(self) -> bool:
        """Whether the user interrupted it."""
        return self.stopped is not None and self.stopped.failure is None

    @property
    def clean(self) -> bool:
        """Whether nothing is left."""
        return not (self.left or self.stopped or self.not_tried)


def tear_down(
    testbed: Testbed, run: str, folder: Path | None, listener: RunListener, ignore_interrupts: int = 0
) -> TeardownResult:
    """Remove everything of the run."""
    result = TeardownResult()
    for _ in range(TRIES):
        if listener.interrupts > ignore_interrupts:
            return TeardownResult(not_tried=True)
        try:
            left = listener.run(lambda work_listener: testbed.destroy(run, folder, work_listener), ignore_interrupts)
        except Stopped as stopped:
            if stopped.failure is None:
                return TeardownResult(stopped=stopped)
            result = TeardownResult(left_over(testbed, run), stopped)
            if why_unknown(testbed) is not None:
                break
        else:
            result = TeardownResult(left)
            if not left:
                break
    return result


def abandon(testbed: Testbed, run: str, folder: Path, listener: RunListener, leaves_up: bool) -> str:
    """After an error in this program, remove everything of the run unless it stays; return what has become of it."""
    hint = f"fedsim-provision down {run}"
    if leaves_up:
        return f"the testbed was left as it is; remove it: {hint}"
    try:
        left = listener.run_unseen(lambda unseen: testbed.destroy(run, folder, unseen), ignore_interrupts=1)
    except Exception as error:
        return f"the teardown failed, too ({error}); finish it with: {hint}"
    return f"still there: {', '.join(left)}; remove it: {hint}" if left else "the testbed was torn down"


def show_failure(progress: Progress, stopped: Stopped, what: str | None = None) -> None:
    """Print one clear message, and where the whole output is."""
    failure = stopped.failure
    if failure is None:
        return
    where = f" on {failure.host}" if failure.host else ""
    stage = what or f"stage {failure.stage or 'start'} failed"
    progress.note(f"error: {stage}{where}: {failure.text}", "red")
    if stopped.log is not None:
        progress.note(f"Ansible's full output: {stopped.log}")
