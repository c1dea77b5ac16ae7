"""The current state of a course on a terminal: the live view of a run, and ``status``."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text

from ..contract.interest import rank_interest
from ..contract.units import duration
from .bars import sparkline
from .course_now import CourseNow, DeviceNow
from .device_table import GONE, STYLES, device_table

# The smallest useful table.
ROWS_MIN = 3
SPARK_ROUNDS = 12
# Besides the view itself: the line of the stage above it, and the line that the cursor is on.
LINES_AROUND = 3


class CourseView:
    """A course for rich, as wide and as high as the terminal allows when ``around`` lines are kept free.

    ``rows`` fixes how many devices are shown.
    """

    def __init__(self, course: CourseNow, rows: int | None = None, around: int = LINES_AROUND) -> None:
        self._course = course
        self._rows = rows
        self._around = around

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        rows = self._rows
        if rows is None:
            taken = self._around + len(head(self._course, options.max_width)) + 2
            rows = max(ROWS_MIN, console.size.height - taken)
        yield render_course(self._course, options.max_width, rows)


def render_course(course: CourseNow, width: int, rows: int) -> RenderableType:
    """Return the head, at most ``rows`` devices, and the counts by state if not all devices are shown."""
    parts: list[RenderableType] = [*head(course, width)]
    shown, hidden = choose(course.devices, rows), course.device_count
    if shown:
        parts.append(device_table(shown, width))
        hidden -= len(shown)
    if hidden > 0 and course.counts:
        parts.append(_counts(course, hidden if shown else 0, width))
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
        parts.append(Text(duration(course.elapsed_s)))
    if course.backend:
        parts.append(Text(f"links by {course.backend}", "dim"))
    return _wrapped(parts, width)


def choose(devices: Sequence[DeviceNow], rows: int) -> tuple[DeviceNow, ...]:
    """Return all devices in order if they fit; else the server and then those that hold the others up."""
    if len(devices) <= rows:
        return tuple(devices)
    first, rest = devices[:1], devices[1:]
    behind = sorted(rest, key=lambda device: rank_interest(device.state, device.round or 0))
    # Lost devices have been reported; they must not hide the ones that are being waited for.
    gone = [device for device in behind if device.state in GONE]
    here = [device for device in behind if device.state not in GONE]
    some = gone[: max(1, rows // 3)]
    return (*first, *some, *here, *gone[len(some) :])[:rows]


def _counts(course: CourseNow, hidden: int, width: int) -> RenderableType:
    parts = [Text(f"... and {hidden} more" if hidden else f"{course.device_count} devices", "dim")]
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
