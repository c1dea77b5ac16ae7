"""What a course does right now, as a table that fits the terminal: the live view of a run, and `status`.

The values come from the agent (``ctl status`` and the snapshots of ``fedsim_course``): per device its state and round,
cpu (cores in use) of ``cpus``, the share of the time it was held back by that limit (``throttled``), memory and its
limit in bytes, and the bit/s it sends and receives.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from ..contract.lenient import number, whole
from ..plan.model import Plan
from ..results.summary import sparkline

STYLES = {
    "starting": "dim",
    "waiting": "cyan",
    "ready": "cyan",
    "joined": "cyan",
    "receiving": "blue",
    "training": "green",
    "evaluating": "magenta",
    "aggregating": "magenta",
    "sending": "yellow",
    "finished": "dim green",
    "exited": "dim",
    "absent": "dim",
    "lost": "bold red",
    "failed": "bold red",
}
# Where not all devices can be shown, those first of which a person may want to know why the round takes so long.
INTEREST = ("failed", "lost", "sending", "training", "receiving", "evaluating", "starting", "waiting")
GONE = ("failed", "lost")
# Share of the time held back by the cpu limit from which on that is shown.
THROTTLED = 0.05
# The smallest table that says anything.
ROWS_MIN = 3
# Widths of cells: "12%" after a short bar, "1.5 GB /2.0 GB", a bar before that, "12% of 0.5".
SHARE_WIDTH = 8
FIGURES_WIDTH = 16
BAR_WIDTH = 8
CPU_WIDTH = 13
SPARK_ROUNDS = 12
# Beside the view itself: the line of the stage above it, and the line that the cursor stands on.
LINES_AROUND = 3


@dataclass(frozen=True)
class DeviceNow:
    """One device; None for what is not known."""

    name: str
    state: str
    round: int | None = None
    cpu: float | None = None
    cpus: float | None = None
    memory_bytes: float | None = None
    memory_limit_bytes: float | None = None
    up_bps: float | None = None
    down_bps: float | None = None
    throttled: bool = False
    oom_kills: int = 0
    exit_code: int | None = None


@dataclass(frozen=True)
class CourseNow:
    """The course at one moment. ``counts``: devices by state, also of those that are not in ``devices``."""

    run: str
    state: str | None = None
    round: int | None = None
    total_rounds: int | None = None
    accuracy: float | None = None
    accuracies: tuple[float | None, ...] = ()
    elapsed_s: float | None = None
    backend: str | None = None
    devices: tuple[DeviceNow, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def device_count(self) -> int:
        """Devices of the course, shown or not."""
        return max(len(self.devices), sum(self.counts.values()))


def devices_now(entries: object) -> tuple[DeviceNow, ...]:
    """Devices out of an agent's answer; whatever does not look like one is left out."""
    if not isinstance(entries, Mapping):
        return ()
    return tuple(_device(str(name), entry) for name, entry in entries.items() if isinstance(entry, Mapping))


def devices_planned(plan: Plan) -> tuple[DeviceNow, ...]:
    """The devices of a plan, with their limits, before anything is known of them."""
    return tuple(
        DeviceNow(item.device.name, "starting", cpus=item.cpus, memory_limit_bytes=float(item.device.type.memory_bytes))
        for item in plan.placed
    )


def counts_now(counts: object, devices: Iterable[DeviceNow]) -> dict[str, int]:
    """Devices by state: the agent's own count if it gave one."""
    if isinstance(counts, Mapping):
        found = {str(state): whole(count) or 0 for state, count in counts.items()}
        if any(found.values()):
            return found
    return dict(Counter(device.state for device in devices))


def accuracy_of(results: object) -> float | None:
    """The accuracy among a round's results: on test data, else on validation data."""
    if not isinstance(results, Mapping):
        return None
    return next((value for key in ("test_acc", "val_acc") if (value := number(results.get(key))) is not None), None)


class CourseView:
    """A course for rich, as wide and as high as there is room beside ``around`` lines.

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
    """The head, at most ``rows`` devices, and the counts by state if not all of them are shown."""
    parts: list[RenderableType] = [*head(course, width)]
    shown, hidden = choose(course.devices, rows), course.device_count
    if shown:
        parts.append(device_table(shown, width))
        hidden -= len(shown)
    if hidden > 0 and course.counts:
        parts.append(_counts(course, hidden if shown else 0, width))
    return Group(*parts)


def head(course: CourseNow, width: int) -> list[Text]:
    """Run, round, accuracy, time and link back end in as few lines as the width allows."""
    done = f"{course.round or 0}/{course.total_rounds or '?'}"
    parts = [Text(course.run, "bold")]
    if course.state not in (None, "running"):
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
    """All devices in their order if they fit; else the server and the ones that hold the others up, in that order."""
    if len(devices) <= rows:
        return tuple(devices)
    first, rest = devices[:1], devices[1:]
    ranks = {state: rank for rank, state in enumerate(INTEREST)}
    behind = sorted(rest, key=lambda device: (ranks.get(device.state, len(ranks)), device.round or 0))
    # What was lost has been told; it must not hide who is being waited for.
    gone = [device for device in behind if device.state in GONE]
    here = [device for device in behind if device.state not in GONE]
    some = gone[: max(1, rows // 3)]
    return (*first, *some, *here, *gone[len(some) :])[:rows]


def device_table(devices: Sequence[DeviceNow], width: int) -> Table:
    """One row per device. What does not fit the width is left out: first the bar, then rates, memory, cpu."""
    exits = any(device.exit_code for device in devices)
    columns = _columns(width, exits)
    name_width = max([6, *(len(device.name) for device in devices)])
    room = width - sum(columns.values()) - 2 * len(columns)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_edge=False)
    table.add_column("device", width=max(6, min(name_width, room)), no_wrap=True, overflow="ellipsis")
    for title, column_width in columns.items():
        numeric = title not in ("state", "memory")
        table.add_column(
            title, width=column_width, no_wrap=True, justify="right" if numeric else "left", overflow="crop"
        )
    for device in devices:
        cells = _cells(device, columns)
        style = STYLES.get(device.state, "") if device.state in GONE else ""
        table.add_row(Text(device.name, style), *(cells[title] for title in columns))
    return table


def _columns(width: int, exits: bool) -> dict[str, int]:
    """Titles and widths of the columns behind the device's name."""
    columns = {"state": max(map(len, STYLES)), "round": 5}
    if exits:
        columns["exit"] = 4
    if width >= 48:
        columns["cpu"] = 4
    if width >= 58:
        columns["memory"] = SHARE_WIDTH
    if width >= 76:
        columns |= {"up bit/s": 8, "down bit/s": 10}
    if width >= 92:
        columns["memory"] = FIGURES_WIDTH
    if width >= 106:
        columns["memory"] = BAR_WIDTH + 1 + FIGURES_WIDTH
        columns["cpu"] = CPU_WIDTH
    return columns


def _cells(device: DeviceNow, widths: Mapping[str, int]) -> dict[str, Text]:
    state = device.state
    if device.oom_kills and state in GONE:
        state = "out of mem"
    return {
        "state": Text(state, STYLES.get(device.state, "")),
        "round": _text(None if not device.round else str(device.round)),
        "exit": _text(None if device.exit_code is None else str(device.exit_code), "red" if device.exit_code else ""),
        "cpu": _cpu(device, widths.get("cpu", 0)),
        "memory": _memory(device, widths.get("memory", 0)),
        "up bit/s": _rate(device.up_bps),
        "down bit/s": _rate(device.down_bps),
    }


def _cpu(device: DeviceNow, width: int) -> Text:
    """Cores in use as a share of the limit; yellow where the limit held the device back."""
    if device.cpu is None:
        return _text(None)
    style = "yellow" if device.throttled else ""
    if not device.cpus:
        return Text(f"{device.cpu:.2f}", style)
    share = f"{device.cpu / device.cpus:.0%}"
    return Text(share if width < CPU_WIDTH else f"{share:>4} of {device.cpus:<5.3g}", style)


def _memory(device: DeviceNow, width: int) -> Text:
    used, limit = device.memory_bytes, device.memory_limit_bytes
    if used is None:
        return _text(None)
    if not limit:
        return Text(_mb(used))
    share = min(1.0, used / limit)
    style = "red" if share > 0.95 else "yellow" if share > 0.8 else ""
    if width < FIGURES_WIDTH:
        return Text.assemble((bar(share, 3), style or "blue"), f" {share:.0%}", style=style)
    figures = f"{_mb(used):>7} /{_mb(limit):>7}"
    if width == FIGURES_WIDTH:
        return Text(figures, style)
    return Text.assemble((bar(share, BAR_WIDTH), style or "blue"), f" {figures}")


def bar(share: float, width: int) -> str:
    """A share of 0..1 as a bar of ``width`` characters, in eighths."""
    eighths = round(min(1.0, max(0.0, share)) * width * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + ("▏▎▍▌▋▊▉"[rest - 1] if rest else "")).ljust(width, "░")


def _mb(value: float) -> str:
    """Memory for people, in powers of 1024."""
    megabytes = value / 2**20
    return f"{megabytes / 1024:.1f} GB" if megabytes >= 1000 else f"{megabytes:.0f} MB"


def _rate(bps: float | None) -> Text:
    """A rate now, with decimal prefixes; nothing moving is dim."""
    if bps is None:
        return _text(None)
    unit, value = ("k", bps / 1e3) if bps < 1e6 else ("M", bps / 1e6) if bps < 1e9 else ("G", bps / 1e9)
    shown = f"{value:.1f}" if value < 100 and unit != "k" else f"{value:.0f}"
    return Text(f"{shown} {unit}", "dim" if bps < 500 else "")


def duration(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _counts(course: CourseNow, hidden: int, width: int) -> RenderableType:
    parts = [Text(f"... and {hidden} more" if hidden else f"{course.device_count} devices", "dim")]
    ordered = sorted(course.counts.items(), key=lambda item: (-item[1], item[0]))
    parts += [Text(f"{count} {state}", STYLES.get(state, "")) for state, count in ordered if count]
    return Group(*_wrapped(parts, width))


def _wrapped(parts: Sequence[Text], width: int) -> list[Text]:
    """Parts beside each other as long as a line has room."""
    lines: list[Text] = []
    for part in parts:
        if lines and lines[-1].cell_len + 3 + part.cell_len <= width:
            lines[-1] = Text.assemble(lines[-1], "   ", part)
        else:
            lines.append(part.copy())
    for line in lines:
        line.no_wrap, line.overflow = True, "ellipsis"
    return lines


def _text(value: str | None, style: str = "") -> Text:
    return Text("-", "dim") if value is None else Text(value, style)


def _device(name: str, entry: Mapping[str, Any]) -> DeviceNow:
    return DeviceNow(
        name=name,
        state=str(entry.get("state") or "unknown"),
        round=whole(entry.get("round")),
        cpu=number(entry.get("cpu")),
        cpus=number(entry.get("cpus")),
        memory_bytes=number(entry.get("memory_bytes")),
        memory_limit_bytes=number(entry.get("memory_limit_bytes")),
        up_bps=number(entry.get("up_bps")),
        down_bps=number(entry.get("down_bps")),
        throttled=(number(entry.get("throttled")) or 0.0) > THROTTLED,
        oom_kills=whole(entry.get("oom_kills")) or 0,
        exit_code=whole(entry.get("exit_code")),
    )
