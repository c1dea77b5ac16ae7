"""Keys that move the live view, and that the terminal is afterwards as it was."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios
import time

import pytest

from fedsim_runner.console.keys import read_keys
from fedsim_runner.console.live import Window

PROGRAM = """
import sys, threading
from fedsim_runner.console.keys import Keys
seen = []
done = threading.Event()
def pressed(key):
    seen.append(key)
    if key == "bottom":
        done.set()
keys = Keys(pressed)
keys.start()
keys.start()
print("reading", file=sys.stderr, flush=True)
done.wait(20)
keys.stop()
keys.stop()
print(*seen, sep=",", file=sys.stderr, flush=True)
"""


@pytest.mark.parametrize(
    ("typed", "keys"),
    [
        (b"", []),
        (b"\x1b[A\x1b[B\x1bOA", ["up", "down", "up"]),
        (b"jk \x1b[5~\x1b[6~b", ["down", "up", "page down", "page up", "page down", "page up"]),
        (b"g\x1b[FG", ["top", "bottom", "bottom"]),
        (b"ls -l\xff\x1b[99;3~\x1b", ["page down"]),
    ],
)
def test_what_a_terminal_sends(typed: bytes, keys: list[str]) -> None:
    assert list(read_keys(typed)) == keys


def test_every_row_can_be_reached_and_no_key_leads_beyond() -> None:
    window = Window()
    assert window.fit(10, 95) == 0
    for key, first in (
        ("up", 0),
        ("down", 1),
        ("page down", 11),
        ("bottom", 85),
        ("page down", 85),
        ("up", 84),
        ("page up", 74),
        ("top", 0),
    ):
        window.move(key)
        assert window.fit(10, 95) == first, key
    window.move("bottom")
    assert window.fit(10, 12) == 2, "devices have gone"


@pytest.mark.process
def test_the_terminal_is_left_as_it_was() -> None:
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    # A session of its own, whose terminal this is.
    setup = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    process = subprocess.Popen(
        [sys.executable, "-c", setup + PROGRAM],
        stdin=theirs,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "reading\n"
    end = time.monotonic() + 10
    while termios.tcgetattr(theirs)[3] & termios.ECHO and time.monotonic() < end:
        time.sleep(0.02)
    os.write(ours, b"\x1b[B")
    os.write(ours, b"xG")
    assert process.stderr.readline() == "down,bottom\n"
    assert process.wait(10) == 0
    assert termios.tcgetattr(theirs) == before
    for end_of_it in (ours, theirs):
        os.close(end_of_it)


@pytest.mark.process
def test_in_the_background_and_without_a_terminal_nothing_is_read() -> None:
    ours, theirs = pty.openpty()
    program = PROGRAM.replace("done.wait(20)", "done.wait(0.3)")
    for stdin in (theirs, subprocess.DEVNULL):  # the terminal is not that of its session
        done = subprocess.run(
            [sys.executable, "-c", program], stdin=stdin, capture_output=True, text=True, start_new_session=True
        )
        assert (done.returncode, done.stderr) == (0, "reading\n\n")
    assert termios.tcgetattr(theirs)[3] & termios.ECHO
    for end in (ours, theirs):
        os.close(end)
