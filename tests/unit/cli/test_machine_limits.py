"""Limits of the machine are named with how to raise them, and never end in a traceback."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from fedsim_runner.cli import entry, machine_limits
from fedsim_runner.contract.errors import Exit


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.EMFILE, "Too many open files", "x"), "`ulimit -n 1024`"),
        (OSError(errno.ENFILE, "Too many open files in system"), "fs.file-max"),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "`ulimit -u`"),
        (RuntimeError("can't start new thread"), "`ulimit -u`"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "not enough memory"),
        (ImportError("numpy.so: failed to map segment from shared object"), "not enough memory"),
        (MemoryError(), "not enough memory"),
        (OSError(errno.ENOSPC, "No space left on device", "/tmp/x"), "/tmp/x: no space is left"),
    ],
)
def test_the_limit_behind_an_error_is_named(
    error: Exception, says: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def _execute_child(arguments: object) -> list[str]:  # as in subprocess
        raise error

    monkeypatch.setattr(entry, "add_verb", _execute_child)
    assert entry.call(["plan"]) == Exit.LAB
    said = capfd.readouterr().err
    assert says in " ".join(said.split())
    assert "internal error" not in said and "Traceback" not in said


def test_other_errors_are_no_limits() -> None:
    for error in (OSError(errno.ENOENT, "No such file"), ValueError("x"), ImportError("No module named 'x'")):
        assert machine_limits.explain(error) == ""
    assert machine_limits.explain(BlockingIOError(errno.EAGAIN, "of a lock")) == ""


@pytest.mark.parametrize(
    ("soft", "hard", "allowed"),
    [
        (20, 20, 0),
        (64, 255, 0),
        (64, 4096, 1024),
        (64, 300, 300),
        (4096, 4096, None),
        (64, resource.RLIM_INFINITY, 1024),
    ],
)
def test_open_files_are_raised_as_far_as_they_may(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, allowed: int | None
) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda which: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: given.append(limits))
    wrong = machine_limits.allow_open_files()
    assert bool(wrong) is (allowed == 0)
    if wrong:
        assert wrong.startswith(f"the limit of open files is {hard} (`ulimit -n`), and a run needs 256: raise it with ")
    else:
        assert given == ([] if allowed is None else [(allowed, hard)])


def test_a_path_without_the_systems_folders_gets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/opt/own")
    machine_limits.find_programs()
    assert os.environ["PATH"].split(os.pathsep) == ["/opt/own", "/bin", "/usr/bin"]


@pytest.mark.process
@pytest.mark.parametrize(("limit", "amount"), [(resource.RLIMIT_NOFILE, 20), (resource.RLIMIT_AS, 40 << 20)])
def test_a_command_with_too_little_ends_with_one_line(tmp_path: Path, limit: int, amount: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fedsim_runner", "plan", "x.yaml"],
        cwd=tmp_path,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")},
        preexec_fn=lambda: resource.setrlimit(limit, (amount, amount)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ") and "ulimit" in line
    assert done.returncode == Exit.LAB
    assert not list(tmp_path.iterdir())
