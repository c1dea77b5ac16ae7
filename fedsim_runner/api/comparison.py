"""Several runs side by side, as the verb ``report`` compares them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from ..contract.errors import Exit, FedsimError
from .plots import Plot, draw
from .rows import Rows
from .run import Run

if TYPE_CHECKING:
    from ..results.figures import Drawn


class Comparison:
    """What several runs reached and when, with repeats of one experiment grouped.

    Attributes:
        data: all of it, as ``comparison.json`` has it.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        """Wrap what :func:`compare` has computed."""
        self.data = data

    def __repr__(self) -> str:
        return f"<comparison of {len(self.runs)} runs in {len(self.groups)} groups>"

    @cached_property
    def runs(self) -> Rows:
        """One row per run (``comparison.csv``)."""
        return Rows({name: value for name, value in run.items() if name != "curve"} for run in self.data["runs"])

    @cached_property
    def groups(self) -> Rows:
        """One row per group of repeats: the mean and the spread of each figure (``comparison-groups.csv``)."""
        return Rows(self.data["groups"])

    @property
    def figures(self) -> list[str]:
        """The names of the figures that there are data for."""
        return list(self._drawn)

    def plot(self, figure: str) -> Plot:
        """Draw a figure of the comparison.

        Raises:
            FedsimError: there is no such figure, or no data for it.
        """
        return draw(figure, "comparison", {name: partial(_as_drawn, one) for name, one in self._drawn.items()})

    @cached_property
    def _drawn(self) -> Mapping[str, Drawn]:
        from ..results.figures.comparison import draw_comparison

        return draw_comparison(self.data)


def compare(runs: Sequence[Run], *, target: float | None = None, grouping: str = "spec") -> Comparison:
    """Compare runs.

    Args:
        runs: two or more.
        target: accuracy to report the time to; None: that of the runs themselves if all have the same, else the
            highest that every run with an accuracy reached.
        grouping: what counts as repeats of one experiment. ``spec``: equal experiments but for their seed; ``name``:
            the same name; ``run``: nothing; or keys of a sweep's grid, joined by commas.

    Raises:
        FedsimError: there are no runs, or none has such keys.
    """
    if not runs:
        raise FedsimError("there are no runs to compare", Exit.SPEC)
    from ..results.comparison.groups import compare_runs

    return Comparison(compare_runs([run.folder for run in runs], target=target, grouping=grouping))


def _as_drawn(drawn: Drawn) -> Drawn:
    return drawn
