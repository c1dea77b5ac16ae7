"""Output that nobody reads, that has no space, or whose terminal lacks characters: an exit code, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

COMMAND = f'"{sys.executable}" -m fedsim_runner'


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("{command} plan {spec} >/dev/full", 74, "standard output cannot be written: No space left on device"),
        ("{command} plan {spec} --json >/dev/full", 74, "standard output cannot be written"),
        ("{command} --help >/dev/full", 74, "standard output cannot be written"),
        ("{command} plan {spec} >&-", 0, ""),
        ("{command} plan {spec} <&- >&- 2>&-", 0, ""),
        ("{command} plan nowhere.yaml 2>/dev/full", 2, ""),
        ("{command} plan nowhere.yaml 2>&-", 2, ""),
        # The reader is gone before anything is written.
        ("({command} plan {spec}; echo $? >code) | true; exit $(cat code)", 141, ""),
        ("({command} plan {spec} --json; echo $? >code) | true; exit $(cat code)", 141, ""),
    ],
)
def test_output_that_is_lost(line: str, code: int, said: str, tmp_path: Path, repository: Path) -> None:
    spec = repository / "examples" / "quickstart.yaml"
    shell = ["sh", "-c", line.format(command=COMMAND, spec=f'"{spec}"')]
    done = subprocess.run(shell, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert bool(said) is bool(done.stderr)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_that_lacks_characters(encoding: str, tmp_path: Path, repository: Path) -> None:
    arguments = ["plan", str(repository / "examples" / "quickstart.yaml")]
    done = subprocess.run(
        [sys.executable, "-m", "fedsim_runner", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode(encoding)
    assert ("35~4 ms" if encoding == "ascii" else "35±4 ms") in text


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fedsim_runner", "plan", b"exp-\xff.yaml"], cwd=tmp_path, capture_output=True, timeout=60
    )
    assert done.returncode == 2
    assert b"1 mistake in exp-" in done.stderr
    assert b"Traceback" not in done.stderr
