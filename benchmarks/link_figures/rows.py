"""The table of link figures: profile x back end x direction, what was asked, what was got, and the error."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

COLUMNS = ("profile", "back end", "way", "figure", "asked", "got", "error", "at most", "met")

ABOVE, BELOW, BOTH = "above", "below", "both"

QUEUE = "delay under a flow, median"
SAME = 0.15  # by which the queues of two back ends may differ, as a share


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        way: up or down.
        unit: that of all numbers.
        most: the largest error, in the unit, that is within; None: the figure is only reported.
        side: on which side of ``asked`` a difference is an error.
    """

    profile: str
    backend: str
    way: str
    figure: str
    unit: str
    asked: float
    got: float
    most: float | None = None
    side: str = BOTH

    @property
    def error(self) -> float:
        """What was got, less what was asked."""
        return self.got - self.asked

    @property
    def within(self) -> bool | None:
        """Whether the error is within its limit; None if it has none."""
        if self.most is None:
            return None
        return {ABOVE: self.error, BELOW: -self.error, BOTH: abs(self.error)}[self.side] <= self.most

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


def compared(rows: Iterable[Row], others: Iterable[Row]) -> list[Row]:
    """The queues of two back ends: what each row of one has, and what the other's had."""
    before = {(other.profile, other.way): other for other in others if other.figure == QUEUE}
    return [
        Row(row.profile, row.backend, row.way, f"{row.figure}, as {other.backend}", row.unit, other.got, row.got, most)
        for row in rows
        if row.figure == QUEUE
        for other in [before.get((row.profile, row.way))]
        if other is not None
        for most in [SAME * other.got]
    ]


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write the rows as CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def read_rows(path: Path) -> list[Row]:
    """Rows as :func:`write_rows` writes them."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Row(
                line["profile"],
                line["backend"],
                line["way"],
                line["figure"],
                line["unit"],
                float(line["asked"]),
                float(line["got"]),
                float(line["most"]) if line["most"] else None,
                line["side"],
            )
            for line in csv.DictReader(file)
        ]
