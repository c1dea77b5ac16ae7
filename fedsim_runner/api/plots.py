"""The figures of the report, as a notebook shows them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from ..contract.errors import Exit, FedsimError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..results.figures import Drawn

_ID = re.compile(r'(\bid="|url\(#|href="#)')


@dataclass(frozen=True)
class Plot:
    """A figure of the report.

    Attributes:
        title: what it shows, in a word or two.
        caption: what it shows, in full.
        figure: the figure itself, to be changed or saved with matplotlib's own methods.
    """

    title: str
    caption: str
    figure: Figure = field(repr=False)
    _svg: str = field(repr=False)

    def save(self, path: str | PathLike[str]) -> Path:
        """Write it in the format that the name's suffix says (``.svg``, ``.pdf``, ``.png``); return the path.

        Raises:
            FedsimError: it cannot be written, or the format is not known.
        """
        from ..results.figures.style import look

        target = Path(path)
        try:
            with look():
                self.figure.savefig(target)
        except OSError as error:
            raise FedsimError(f"{target}: {error.strerror}", Exit.OUTPUT) from error
        except ValueError as error:
            raise FedsimError(f"{target}: {error}", Exit.SPEC) from error
        return target

    def _repr_svg_(self) -> str:
        return self._svg


def draw(name: str, owner: str, figures: Mapping[str, Callable[[], Drawn | None]]) -> Plot:
    """Draw one of some figures. ``owner``: whose it is; pages that show several need different ids in each.

    Raises:
        FedsimError: there is no such figure, or no data for it.
    """
    if name not in figures:
        raise FedsimError(f"there is no figure {name!r}; there are {', '.join(figures)}", Exit.SPEC)
    drawn = figures[name]()
    if drawn is None:
        raise FedsimError(f"{owner} has no data for the figure {name!r}", Exit.SPEC)
    prefix = re.sub(r"[^\w-]", "-", owner)
    return Plot(drawn.title, drawn.caption, drawn.figure, _ID.sub(rf"\g<1>{prefix}-", drawn.svg))
