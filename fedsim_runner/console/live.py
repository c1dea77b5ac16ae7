"""The current state of a course on a terminal: the live view of a run, and ``status``."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text

from ..contract.interest import rank_interest
from ..contract.units import counted, duration
from .bars import sparkline
from .course_now import CourseNow, DeviceNow
from .device_table import GONE, STYLES, device_table
from .keys import Key

# The smallest useful table.
ROWS_MIN = 3
SPARK_ROUNDS = 12
# Besides the view itself: the line of the stage above it, and the line that the cursor is on.
LINES_AROUND = 3


class Window:
    """Which part of the table is shown where there is no room for all of it; keys move it.

    ``by_keys``: whether there are any keys, so that the view says so.
    """

    def __init__(self, by_keys: bool = False) -> None:
        self.by_keys = by_keys
        self.first = 0
        self._shown = self._all = 0

    def fit(self, shown: int, all_rows: int) -> int:
        """Take note of how many rows are shown, and of how many; return the first of them."""
        self._shown, self._all = shown, all_rows
        self.first = max(0, min(self.first, all_rows - shown))
        return self.first

    def move(self, key: Key) -> None:
        """Move by a row, by a page, or to an end."""
        by = {"up": -1, "down": 1, "page up": -self._shown, "page down": self._shown}
        last = max(0, self._all - self._shown)
        wanted = {"top": 0, "bottom": last}.get(key, self.first + by.get(key, 0))
        self.first = max(0, min(wanted, last))


class CourseView:
    """A course for rich, as wide and as high as the terminal allows when ``around`` lines are kept free.

    ``rows`` fixes how many devices are shown. ``window``: which; the first ones if it is left out.
    """

    def __init__(
        self, course: CourseNow, rows: int | None = None, around: int = LINES_AROUND, window: Window | None = None
    ) -> None:
        self._course = course
        self._rows = rows
        self._around = around
        self._window = window or Window()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        rows = self._rows
        if rows is None:
            taken = self._around + len(head(self._course, options.max_width)) + 2
            rows = max(ROWS_MIN, console.size.height - taken)
        yield render_course(self._course, options.max_width, rows, self._window)


def render_course(course: CourseNow, width: int, rows: int, window: Window | None = None) -> RenderableType:
    """Return the head, at most ``rows`` devices, and the counts by state if not all devices are shown."""
    parts: list[RenderableType] = [*head(course, width)]
    window = window or Window()
    shown, hidden = choose(course.devices, rows, window), course.device_count
    if shown:
        parts.append(device_table(shown, width))
        hidden -= len(shown)
    if hidden > 0 and course.counts:
        parts.append(_counts(course, hidden if shown else 0, window, width))
    return Group(*parts)


def head(course: CourseNow, width: int) -> list[Text]:
    """Return run, round, accuracy, time and link back end in as few lines as the width allows."""
    done = f"{course.round or 0}/{course.total_rounds or '?'}"
    parts = [Text(course.run, "bold")]
    if course.loaded is not None:
        parts.append(Text(course.loaded, "bold"))
    elif course.state not in (None, "running"):
        parts.append(Text(str(course.state)))
    parts.append(Text.assemble("round ", (done, "bold")))
    if course.accuracy is not None:
        recent = sparkline(course.accuracies[-SPARK_ROUNDS:])
        shown = Text.assemble("accuracy ", (f"{course.accuracy:.4f}", "bold green"))
        if len(course.accuracies) > 1:
            shown.append(f" {recent}", "green")
        parts.append(shown)
    if course.elapsed_s is not None:
        parts.append(Text(_elapsed(course.elapsed_s, course)))
    elif course.time_factor != 1:
        parts.append(Text(f"dilated time, factor {course.time_factor:g}"))
    if course.backend:
        parts.append(Text(f"links by {course.backend}", "dim"))
    return _wrapped(parts, width)


def _elapsed(wall_s: float, course: CourseNow) -> str:
    """Return how long it has been going on; in a dilated run also how much time that was for the devices."""
    if course.time_factor == 1:
        return duration(wall_s)
    passed = f"{duration(course.device_s)} of device time, " if course.device_s is not None else ""
    return f"{passed}{duration(wall_s)} of wall time"


def choose(devices: Sequence[DeviceNow], rows: int, window: Window | None = None) -> tuple[DeviceNow, ...]:
    """Return the server, then those clients that hold the others up, the slowest first; as many as there is room for.

    ``window``: from which client on.
    """
    if len(devices) <= 1 or rows < 2:
        return tuple(devices[:rows])
    behind = sorted(devices[1:], key=lambda device: rank_interest(device.state, device.round or 0))
    # Lost devices have been reported; they must not hide the ones that are being waited for.
    gone = [device for device in behind if device.state in GONE]
    here = [device for device in behind if device.state not in GONE]
    some = gone[: max(1, rows // 3)] if len(devices) > rows else []
    ordered = (*some, *here, *gone[len(some) :])
    first = (window or Window()).fit(min(rows - 1, len(ordered)), len(ordered))
    return (devices[0], *ordered[first : first + rows - 1])


def _counts(course: CourseNow, hidden: int, window: Window, width: int) -> RenderableType:
    more = f"... and {hidden} more" + (" (arrow keys)" if window.by_keys else "")
    parts = [Text(more if hidden else counted(course.device_count, "device"), "dim")]
    ordered = sorted(course.counts.items(), key=lambda item: (-item[1], item[0]))
    parts += [Text(f"{count} {state}", STYLES.get(state, "")) for state, count in ordered if count]
    return Group(*_wrapped(parts, width))


def _wrapped(parts: Sequence[Text], width: int) -> list[Text]:
    """Return the parts side by side, as many as fit into each line."""
    lines: list[Text] = []
    for part in parts:
        if lines and lines[-1].cell_len + 3 + part.cell_len <= width:
            lines[-1] = Text.assemble(lines[-1], "   ", part)
        else:
            lines.append(part.copy())
    for line in lines:
        line.no_wrap, line.overflow = True, "ellipsis"
    return lines
