"""A signal at any moment of the start is a word and an exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

# The signal comes when a certain module is imported: from the first of our own imports to what only a verb needs.
START = """\
import builtins, os, sys
moment, number = sys.argv.pop(1), int(sys.argv.pop(1))

def import_or_signal(name, *arguments, real=builtins.__import__, **options):
    if name == moment:
        os.kill(os.getpid(), number)
    return real(name, *arguments, **options)

builtins.__import__ = import_or_signal
from fedsim_runner.cli import main
main()
"""


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("typer", signal.SIGINT),
        ("typer", signal.SIGTERM),
        ("typer", signal.SIGHUP),
        ("yaml", signal.SIGINT),
        ("ansible_runner", signal.SIGINT),
        ("ansible_runner", signal.SIGHUP),
    ],
)
def test_a_signal_while_something_is_imported(moment: str, number: int, tmp_path: Path, repository: Path) -> None:
    spec = repository / "examples" / "quickstart.yaml"
    done = subprocess.run(
        [sys.executable, "-c", START, moment, str(int(number)), "plan", str(spec)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 130, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


# The signal comes while a class is being made, which wraps what is raised in an error of its own (Python 3.11).
CLASS = """\
import builtins, os, signal, sys

def import_or_signal(name, *arguments, real=builtins.__import__, **options):
    if name == "yaml":
        class Field:
            def __set_name__(self, owner, name):
                try:
                    os.kill(os.getpid(), signal.SIGINT)
                except KeyboardInterrupt as error:
                    raise RuntimeError("Error calling __set_name__") from error
        class Made:
            field = Field()
    return real(name, *arguments, **options)

builtins.__import__ = import_or_signal
from fedsim_runner.cli import main
main()
"""


def test_an_error_that_a_signal_led_to_is_an_interruption(tmp_path: Path, repository: Path) -> None:
    spec = repository / "examples" / "quickstart.yaml"
    done = subprocess.run(
        [sys.executable, "-c", CLASS, "plan", str(spec)],
        cwd=tmp_path,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "error: interrupted\n")
    assert not (tmp_path / "state").exists()
