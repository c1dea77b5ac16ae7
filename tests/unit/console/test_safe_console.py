"""Whatever text is printed, by whichever part: the terminal gets our own sequences only."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fedsim_runner.cli.app import out
from fedsim_runner.console.course_now import CourseNow, DeviceNow
from fedsim_runner.console.live import CourseView
from fedsim_runner.console.progress import Progress
from fedsim_runner.console.safe_console import SafeConsole
from fedsim_runner.console.tables import Column, FoldedTable
from fedsim_runner.results import render_summary

EVIL = "x\x1b]0;title\x07\x1b[2J\x9b31m\x9d8;;https://evil\x9c\u202ey[bold link=https://evil]z[/]\r"
# What rich writes itself: colours, erasing and moving of lines, the cursor.
OURS = re.compile(r"\x1b\[[0-9;]*[mKAGH]|\x1b\[\?25[lh]")


def table() -> RenderableType:
    made = Table("name", title=Text(EVIL))
    made.add_row(Text(EVIL))
    return made


def course() -> RenderableType:
    devices = (DeviceNow(EVIL, "training"), DeviceNow("b", EVIL))
    return CourseView(CourseNow(EVIL, EVIL, 1, 2, None, devices=devices, counts={EVIL: 2}))


def summary() -> RenderableType:
    device = {"type": EVIL, "state": EVIL, "error": EVIL}
    report = {"run": EVIL, "status": EVIL, "reason": EVIL, "notes": [EVIL], "devices": {EVIL: device}}
    lost = [{"device": EVIL, "reason": EVIL, "t": None}]
    return render_summary({**report, "link_backend": EVIL, "lost_clients": lost}, Path("run"))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Text(EVIL),
        lambda: Group(Text(EVIL), Text(EVIL, "red")),
        table,
        lambda: FoldedTable(Column(EVIL, [EVIL]), [Column("b", [EVIL])]),
        course,
        summary,
    ],
    ids=["text", "group", "table", "folded", "live view", "summary"],
)
@pytest.mark.parametrize("terminal", [True, False])
def test_text_of_others_controls_nothing(make: Callable[[], RenderableType], terminal: bool) -> None:
    written = io.StringIO()
    console = SafeConsole(file=written, force_terminal=terminal, width=100, color_system="truecolor")
    console.print(make(), soft_wrap=True)
    assert_harmless(written.getvalue())


def assert_harmless(written: str) -> None:
    rest = OURS.sub("", written)
    assert rest.replace("\n", "").isprintable(), rest
    assert "x" in rest and "title" not in rest
    # Markup of others is text, too.
    assert "]8;" not in written


def test_what_is_redrawn_controls_nothing() -> None:
    written = io.StringIO()
    console = SafeConsole(file=written, force_terminal=True, width=100)
    with Live(course(), console=console, auto_refresh=False) as live:
        live.update(course(), refresh=True)
    assert_harmless(written.getvalue().replace("\r", ""))


def test_events_of_a_course_control_nothing() -> None:
    written = io.StringIO()
    progress = Progress(SafeConsole(file=written, force_terminal=False, width=200), total_rounds=0)
    lost = {"event": "client_lost", "device": EVIL, "reason": EVIL, "last_lines": [EVIL]}
    progress.event({**lost, "t": 1.0})
    progress.note(EVIL)
    assert_harmless(written.getvalue())


def test_all_output_goes_through_this_console() -> None:
    assert isinstance(out(), SafeConsole) and isinstance(out(stderr=True), SafeConsole)
    sources = Path(__file__).resolve().parents[3]
    made = [
        path.name
        for folder in ("fedsim_runner", "plugins")
        for path in (sources / folder).rglob("*.py")
        if re.search(r"(?<!Safe)\bConsole\(", path.read_text(encoding="utf-8"))
    ]
    assert made == []
    assert issubclass(SafeConsole, Console)
