"""Tables as plain rows, and as a pandas.DataFrame where pandas is installed."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, overload

from ..contract.errors import Exit, FedsimError

if TYPE_CHECKING:
    import pandas

#: One row by column: numbers, texts, truth values, and None for what is not known.
Row: TypeAlias = Mapping[str, Any]
# What a notebook shows of a table; all of it is in the rows.
_SHOWN = 20


class Rows(Sequence[Row]):
    """A table that cannot be changed: a sequence of rows, each a mapping by column.

    Attributes:
        columns: the names of all columns, in the order of the table.
    """

    def __init__(self, rows: Iterable[Row], columns: Sequence[str] = ()) -> None:
        """Keep the rows; without ``columns`` they are those of the rows, in the order in which they appear."""
        self._rows = tuple(rows)
        self.columns = tuple(columns) or tuple(dict.fromkeys(name for row in self._rows for name in row))

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Rows: ...
    def __getitem__(self, index: int | slice) -> Row | Rows:
        return Rows(self._rows[index], self.columns) if isinstance(index, slice) else self._rows[index]

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rows) and (self._rows, self.columns) == (other._rows, other.columns)

    def __repr__(self) -> str:
        return f"<{len(self)} rows of {', '.join(self.columns)}>"

    def column(self, name: str) -> list[Any]:
        """Return one column.

        Raises:
            FedsimError: there is no such column.
        """
        if name not in self.columns:
            raise FedsimError(f"there is no column {name}; there are {', '.join(self.columns)}", Exit.SPEC)
        return [row.get(name) for row in self]

    def where(self, **values: Any) -> Rows:
        """Return the rows with these values: ``updates.where(device="phone-1", update="late")``.

        Raises:
            FedsimError: there is no such column.
        """
        wanted = [self.column(name) for name in values]
        kept = [row for row, *found in zip(self, *wanted, strict=True) if tuple(found) == tuple(values.values())]
        return Rows(kept, self.columns)

    def to_pandas(self) -> pandas.DataFrame:
        """Return the table as a new data frame.

        Raises:
            FedsimError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise FedsimError("pandas is not installed", Exit.LAB, hint="pip install pandas") from error
        return pandas.DataFrame([dict(row) for row in self], columns=list(self.columns))

    def _repr_html_(self) -> str:
        """What a notebook shows. Rows come from devices, which are not trusted: everything is text."""
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.columns)
        body = "".join(
            f"<tr>{''.join(f'<td>{html.escape(_shown(row.get(name)))}</td>' for name in self.columns)}</tr>"
            for row in self[:_SHOWN]
        )
        more = f"<p>{len(self)} rows in all</p>" if len(self) > _SHOWN else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _shown(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
