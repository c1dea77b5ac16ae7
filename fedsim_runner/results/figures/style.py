"""One style for all figures: print width, one font, colours that suit colour-blind readers and greyscale print."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cycler import cycler
from matplotlib import style
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import Patch

WIDTH_IN = 7.0  # the text width of a two-column paper
NARROW_IN = 3.5  # one of its columns; fits a phone
# Okabe and Ito's palette without its yellow, which vanishes on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
HEAT = "cividis"
GREY = "#666666"
# The parts of a round: lightness rises from upload via compute to waiting; hatches separate what looks alike in print.
PARTS: dict[str, tuple[str, str]] = {
    "download": ("#8FC7EA", ""),
    "handling": ("#F3D27A", "////"),
    "compute": ("#D55E00", ""),
    "upload": ("#004A80", ""),
    "waiting": ("#ECECEC", ""),
    "evaluation": ("#A6DBC9", "xxxx"),
}
MAX_NAME = 26
MAX_NAME_NARROW = 16
NAME_END = 6

_RC = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.linewidth": 0.7,
    "axes.prop_cycle": cycler(color=COLOURS),
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.5,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "lines.markersize": 3.5,
    "hatch.linewidth": 0.5,
    "hatch.color": "#555555",
    "figure.dpi": 72,  # what an SVG has, where the layout is found
    "savefig.dpi": 200,  # for what is drawn as pixels inside a figure
    "svg.fonttype": "path",
    "svg.hashsalt": "fedsim",
    "pdf.fonttype": 42,
    "text.parse_math": False,  # names may contain anything
    "text.usetex": False,
}
NARROW_PANEL_IN = 2.1
NARROW_COLUMNS = 2
# Between the ticks of an axis, and of one across the whole width. More can hardly be read in figures of this size, and
# a third of the time to draw them goes into ticks.
MAX_INTERVALS, MAX_INTERVALS_WIDE = 5, 8
_NARROW: ContextVar[bool] = ContextVar("narrow", default=False)
_DILATED: ContextVar[bool] = ContextVar("dilated", default=False)
_ID = re.compile(r'(\bid="|url\(#|href="#)')
# Hundredths of a point are finer than any screen. Numbers below 1 are factors and keep their digits.
_DIGITS = re.compile(r"(?<![\w.])(-?[1-9]\d*\.\d\d)\d+")


def narrow() -> bool:
    """Whether the current drawing is for a narrow screen."""
    return _NARROW.get()


def time_label(text: str) -> str:
    """Return the label of an axis with times, which says so where these are device time."""
    if not _DILATED.get():
        return text
    return text.replace("Time", "Device time", 1) if "Time" in text else f"{text} (device time)"


@dataclass
class Drawn:
    """A finished figure. ``name`` is its file name without suffix and the prefix of its ids in a page.

    ``svg`` is the figure for an HTML page: one ``<svg>`` element that refers to nothing outside itself. It is made
    immediately, since many errors in a figure appear only then. ``narrow_svg`` is the same for narrow
    screens; :func:`drawing` sets it. ``table`` is the id of the table that has all devices, if the figure has not.
    """

    name: str
    title: str
    caption: str
    figure: Figure
    svg: str = field(init=False)
    narrow_svg: str = ""
    table: str = ""

    def __post_init__(self) -> None:
        with look():
            # The layout is found once: saving would draw everything another time for it.
            if (engine := self.figure.get_layout_engine()) is not None:
                engine.execute(self.figure)
                self.figure.set_layout_engine(None)  # "none" would be one, for which saving draws everything twice
        text = _saved(self.figure, "svg").decode("utf-8")
        text = _DIGITS.sub(r"\1", text[text.index("<svg") :])
        # Several figures in one page must not share ids.
        prefix = f"{self.name}-narrow-" if narrow() else f"{self.name}-"
        text = _ID.sub(lambda match: f"{match.group(1)}{prefix}", text)
        self.svg = re.sub(r' width="[\d.]+pt"| height="[\d.]+pt"', "", text, count=2)

    def save(self, folder: Path) -> list[Path]:
        """Write ``name.svg`` and ``name.pdf``.

        Raises:
            OSError: the folder cannot be written.
        """
        written = []
        for form in ("svg", "pdf"):
            path = folder / f"{self.name}.{form}"
            path.write_bytes(_saved(self.figure, form))
            written.append(path)
        return written


def _saved(figure: Figure, form: str) -> bytes:
    stream = io.BytesIO()
    # No date and no program name: the same run produces the same bytes.
    keys = ("Creator", "Date", "Format", "Type") if form == "svg" else ("Creator", "Producer", "CreationDate")
    with look():
        figure.savefig(stream, format=form, metadata=dict.fromkeys(keys))
    return stream.getvalue()


@contextmanager
def look() -> Iterator[None]:
    """Give figures that are made or saved inside the common style."""
    with warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes; the page has it as text.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from", category=UserWarning)
        with style.context(_RC):
            yield


@contextmanager
def _set(variable: ContextVar[bool], value: bool) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def new_figure(height_in: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, Any]:
    """Return a figure of the common width, and its axes."""
    figure = Figure(figsize=(NARROW_IN if narrow() else WIDTH_IN, height_in), layout="constrained")
    FigureCanvasSVG(figure)  # the layout needs to know how wide its letters are
    axes = figure.subplots(rows, columns, **options)
    for one in figure.axes:
        one.locator_params(axis="y", nbins=MAX_INTERVALS)
        one.locator_params(axis="x", nbins=MAX_INTERVALS if narrow() or columns > 1 else MAX_INTERVALS_WIDE)
    return figure, axes


def new_pair(height_in: float) -> tuple[Figure, Any]:
    """Return a figure with two axes that share their y scale: side by side, or stacked if it is narrow."""
    if narrow():
        return new_figure(2 * NARROW_PANEL_IN, 2, 1, sharey=True)
    return new_figure(height_in, 1, 2, sharey=True)


def new_panels(count: int, unit: str) -> tuple[Figure, list[Any]]:
    """Return a figure with a small panel over time for each of ``count`` devices, and the panels.

    Args:
        unit: the label of the y axes.
    """
    # As many columns as leave the fewest panels empty; the widest of those.
    columns = min((5, 4, 3), key=lambda width: (-count % width, -width)) if count > 4 else count
    columns = min(columns, NARROW_COLUMNS) if narrow() else columns
    rows = -(-count // columns)
    figure, grid = new_figure(0.5 + 1.25 * rows, rows, columns, sharex=True, squeeze=False)
    panels = [axes for line in grid for axes in line]
    for index, axes in enumerate(panels):
        if index >= count:
            axes.set_visible(False)
        elif index % columns == 0:
            axes.set_ylabel(unit)
        if index < count <= index + columns:
            axes.tick_params(labelbottom=True)
            axes.set_xlabel(time_label("Time (s)"))
    return figure, panels[:count]


def part_legend(figure: Figure, parts: Iterable[str]) -> None:
    """Add a legend of the parts of a round above the axes."""
    handles = [
        Patch(facecolor=PARTS[part][0], hatch=PARTS[part][1], edgecolor="#777777", lw=0.4, label=part) for part in parts
    ]
    columns = 3 if narrow() else len(handles)
    figure.legend(handles=handles, ncols=columns, loc="outside upper right", handlelength=1.6)


def short(name: str) -> str:
    """Return a name shortened to fit next to an axis; its end stays, where names of one kind have their number."""
    clean = "".join(letter if letter.isprintable() else "?" for letter in name)
    limit = MAX_NAME_NARROW if narrow() else MAX_NAME
    return clean if len(clean) <= limit else f"{clean[: limit - 1 - NAME_END]}…{clean[-NAME_END:]}"


def line_style(index: int) -> dict[str, Any]:
    """Return colour, dash and marker of the line with this number."""
    turn = index % len(COLOURS)
    return {
        "color": COLOURS[turn],
        "linestyle": DASHES[(index // len(COLOURS) + turn) % len(DASHES)],
        "marker": MARKERS[turn],
    }


def marker_step(points: int, markers: int = 15) -> int:
    """Return the step between points with a marker, for about ``markers`` of them."""
    return max(1, points // markers)


def drawing(function: Callable[..., Drawn | None]) -> Callable[..., Drawn | None]:
    """Decorate a drawing function: run it twice in the common style, for the common width and for narrow screens.

    Its first argument is the report, or the comparison, that it draws.
    """

    def under_look(report: Mapping[str, Any], *arguments: Any, **options: Any) -> Drawn | None:
        with look(), _set(_DILATED, "time_factor" in report or "time_factors" in report):
            drawn = function(report, *arguments, **options)
            if drawn is not None:
                with _set(_NARROW, True):
                    slim = function(report, *arguments, **options)
                drawn.narrow_svg = slim.svg if slim is not None else ""
            return drawn

    return under_look
