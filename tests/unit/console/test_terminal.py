"""The live view and its end in a real (pseudo) terminal: the output is interpreted as a terminal would show it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

SCRIPT = """\
import sys, time
from rich.console import Console
from fedsim_runner.console.interrupts import Interrupts
from fedsim_runner.console.progress import Progress
console = Console()
def snapshot(number, state):
    entry = {"state": state, "round": number, "cpu": 0.04, "cpus": 0.05, "memory_bytes": 9e7,
             "memory_limit_bytes": 2.7e8, "up_bps": 1e6, "down_bps": 2e5, "oom_kills": 0, "throttled": 0}
    names = ["server", *(f"smartphone-{n}" for n in range(int(sys.argv[1])))]
    return {"t": number, "state": "running", "round": number, "total_rounds": 1000, "results": {},
            "devices": {name: entry for name in names}}
def work():
    for number in range(1, 1000):
        if interrupts.count:
            return
        progress.snapshot(snapshot(number, "training" if number % 2 else "sending"))
        progress.event({"t": number, "event": "evaluated", "round": number, "results": {"test_acc": number / 1000}})
        time.sleep(0.05)
with Progress(console, 1000, run="study", live_stages={"course"}) as progress:
    interrupts = Interrupts(lambda count: progress.note("interrupted: stopping"))
    with interrupts:
        progress.stage("course")
        interrupts.run(work)
        progress.close(failed=True)
print("after")
"""


class Screen:
    """Interprets the few control sequences that are used: line feed, return, up, erase line, colours, cursor."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.lines = [""]
        self.row = self.column = 0
        self.cursor_shown = True
        self.most = 0  # the largest number of lines that the cursor moved up

    def feed(self, text: str) -> None:
        for match in re.finditer(r"\x1b\[(\??[\d;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)", text):
            argument, command, control, words = match.groups()
            if command == "A":
                up = int(argument or 1)
                self.most = max(self.most, up)
                self.row -= up
                assert self.row >= max(0, len(self.lines) - self.rows), "above the top of the screen"
            elif command == "K":
                self.lines[self.row] = ""
            elif command in ("h", "l") and argument == "?25":
                self.cursor_shown = command == "h"
            elif control == "\r":
                self.column = 0
            elif control == "\n":
                self.row, self.column = self.row + 1, 0
                self.lines += [""] * (self.row + 1 - len(self.lines))
            elif words:
                line = self.lines[self.row]
                self.lines[self.row] = (line[: self.column].ljust(self.column) + words)[: self.columns + 1] + line[
                    self.column + len(words) :
                ]
                self.column += len(words)
                assert self.column <= self.columns, f"wider than the terminal: {self.lines[self.row]!r}"

    @property
    def shown(self) -> list[str]:
        return self.lines[-self.rows :]


@pytest.mark.parametrize(("columns", "rows", "clients"), [(80, 24, 4), (80, 24, 60), (140, 30, 6), (40, 12, 3)])
def test_a_course_and_ctrl_c(columns: int, rows: int, clients: int, repository: Path) -> None:
    begin, go = os.pipe()
    child, terminal = pty.fork()
    if child == 0:
        os.read(begin, 1)  # until the terminal's modes are known
        os.chdir(repository)
        os.environ.update(TERM="xterm-256color", COLUMNS=str(columns), LINES=str(rows))
        os.execv(sys.executable, [sys.executable, "-c", SCRIPT, str(clients)])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    before = termios.tcgetattr(terminal)
    os.write(go, b"x")
    os.close(begin)
    os.close(go)
    screen = Screen(columns, rows)
    seen: list[str] = []
    interrupted = False
    end = time.monotonic() + 60
    kept = b""
    try:
        while time.monotonic() < end:
            if not select.select([terminal], [], [], 0.1)[0]:
                continue
            try:
                kept += os.read(terminal, 1 << 16)
            except OSError:  # how Linux reports that the other side has been closed
                break
            # Whole characters and sequences only.
            cut = max(kept.rfind(b"\n"), kept.rfind(b"h"), kept.rfind(b"l")) + 1
            whole, kept = kept[:cut], kept[cut:]
            screen.feed(whole.decode())
            drawn = any("round 30/1000" in line for line in screen.lines) and "smartphone-0" in "".join(screen.shown)
            if not interrupted and drawn:  # what was read may end in the middle of a picture
                seen, interrupted = list(screen.shown), True
                assert not screen.cursor_shown
                os.write(terminal, b"\x03")
        screen.feed(kept.decode())
        after = termios.tcgetattr(terminal)
    finally:
        os.close(terminal)
        if time.monotonic() >= end:
            os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code == 0
    assert before[:4] == after[:4]
    assert screen.cursor_shown
    table = "\n".join(seen)
    assert "study" in table
    assert "smartphone-0" in table
    assert ("training" in table) or ("sending" in table)
    assert screen.most < rows
    last = [line.rstrip() for line in screen.lines if line.strip()]
    assert last[-1] == "after"
    assert last[-2].startswith("✗ course")
    # It is shown at once, so the round that is under way may still end after it, but no other.
    note = last.index("interrupted: stopping")
    assert all(line.startswith("  round ") for line in last[note + 1 : -2])
    assert len(last[note + 1 : -2]) <= 1
    # Nothing is left of the table, and each round is there once.
    assert not any(line.startswith(("smartphone", "server", "study", "device")) for line in last)
    rounds = [int(found[1]) for line in last if (found := re.match(r"  round (\d+)/1000", line))]
    assert rounds == list(range(1, len(rounds) + 1))
