"""The table of link figures: profile x back end x direction, what was asked, what was got, and the error. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

COLUMNS = ("profile", "back end", "way", "figure", "asked", "got", "error", "at most", "met")


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        way: up or down.
        unit: that of all numbers.
        most: the largest error, in the unit, that is within; None: the figure is only reported.
        one_sided: only what exceeds ``asked`` is an error.
    """

    profile: str
    backend: str
    way: str
    figure: str
    unit: str
    asked: float
    got: float
    most: float | None = None
    one_sided: bool = False

    @property
    def error(self) -> float:
        """What was got, less what was asked."""
        return self.got - self.asked

    @property
    def within(self) -> bool | None:
        """Whether the error is within its limit; None if it has none."""
        if self.most is None:
            return None
        return (self.error if self.one_sided else abs(self.error)) <= self.most

    def cells(self) -> tuple[str, ...]:
        """The row's text, by COLUMNS."""
        met = {None: "", True: "yes", False: "NO"}[self.within]
        most = "" if self.most is None else f"{self.most:.4g}"
        figure = f"{self.figure} ({self.unit})" if self.unit else self.figure
        numbers = (f"{self.asked:.5g}", f"{self.got:.5g}", f"{self.error:+.3g}", most)
        return (self.profile, self.backend, self.way, figure, *numbers, met)


def missed(rows: Iterable[Row]) -> list[Row]:
    """The rows that are out of their limits."""
    return [row for row in rows if row.within is False]
