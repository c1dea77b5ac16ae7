"""What each participant recorded of its work: training, evaluation, aggregation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fedsim_runner.contract.work_steps import BEGIN_OF

from .tasks import Step


@dataclass(frozen=True, slots=True)
class WorkStep:
    """A step of work from its begin to its end (Unix seconds).

    ``what``: ``train``, ``evaluate`` or ``aggregate``; ``cpu``: processor seconds that it took, None where none were
    recorded.
    """

    what: str
    began: float
    ended: float
    cpu: float | None

    @property
    def seconds(self) -> float:
        """By the clock."""
        return self.ended - self.began


def read_work(steps: Sequence[Step]) -> Iterator[WorkStep]:
    """Yield the steps of work that have ended, in the order of their ends."""
    began: dict[str, float] = {}
    for step in steps:
        what = BEGIN_OF.get(step.what, "")
        if step.what in BEGIN_OF.values():
            began[step.what] = step.t
        elif what in began:
            yield WorkStep(what, began.pop(what), step.t, step.cpu)
