"""What the benchmark programs conclude from what they have seen."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest

from benchmarks.cpu_clock import tree_seconds
from benchmarks.installation import Installation, RunningCommand
from benchmarks.large_course import false_verdicts, stage_seconds
from benchmarks.provisioning import COMPOSE, limits_of, rows_of
from fedsim_runner.contract.events import ClientLost, CourseFailed, DeviceExited, DeviceFinished

BUSY = "import time\nwhile time.process_time() < 0.4: pass"
# However SIGINT was treated where the tests were started: a background job of a shell ignores it.
TEARS_DOWN = """
import pathlib, signal, sys, time
def remove(*_):
    time.sleep(0.3)
    pathlib.Path("removed").touch()
    sys.exit(2)
signal.signal(signal.SIGINT, remove)
print("a ...", flush=True)
time.sleep(60)
"""
PARENT = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BUSY!r}])\nprint('over', flush=True)\ninput()"


@pytest.mark.process
def test_a_childs_time_is_counted_when_it_is_over() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "over\n"
        # The kernel counts in hundredths of a second.
        assert tree_seconds(parent.pid) >= 0.35
        parent.communicate("\n")
    assert tree_seconds(parent.pid) == 0.0


@pytest.mark.process
def test_stages_are_timed_by_the_lines_of_the_command(tmp_path: Path) -> None:
    script = "echo a ...; echo a done in 0.3 s; echo b ...; echo plain; exit 3"
    command = RunningCommand(["sh", "-c", script], tmp_path)
    assert command.finish() == 3
    began = command.stages()
    assert list(began) == ["a", "b"]
    assert command.started <= began["a"] <= began["b"]
    assert command.output.splitlines()[-1] == "plain"
    assert stage_seconds({"a": 10.0, "b": 12.5}, 13.0) == {"a": 2.5, "b": 0.5}


def _interrupted_once(wait: Callable[..., int]) -> Callable[..., int]:
    """Return a wait during whose first call somebody presses Ctrl-C."""
    presses = [KeyboardInterrupt()]

    def interrupted(*arguments: float | None) -> int:
        if presses:
            raise presses.pop()
        return wait(*arguments)

    return interrupted


@pytest.mark.process
def test_an_interrupted_benchmark_lets_the_command_remove_its_testbed(tmp_path: Path) -> None:
    command = RunningCommand([sys.executable, "-c", TEARS_DOWN], tmp_path)
    while not command.stages():
        time.sleep(0.01)
    with (
        patch.object(command.process, "wait", side_effect=_interrupted_once(command.process.wait)),
        pytest.raises(KeyboardInterrupt),
    ):
        command.finish()
    assert (tmp_path / "removed").exists()


def test_everything_said_against_a_device_is_a_false_verdict() -> None:
    events = [
        DeviceFinished("good"),
        DeviceExited("good", 0, False),
        DeviceExited("a", 137, False),
        ClientLost(device="b", reason="it is frozen"),
        CourseFailed(reason="too slow"),
    ]
    assert false_verdicts(events) == ["a exited with 137", "b lost: it is frozen", "course failed: too slow"]


def test_limits_compare_with_docker_compose_and_100_devices() -> None:
    medians = {
        100: {(COMPOSE, "up"): 15.0, (COMPOSE, "again"): 1.0, (COMPOSE, "down"): 8.0,
              ("this", "up"): 20.0, ("this", "again"): 3.5, ("this", "down"): 6.0},
        500: {("this", "up"): 125.0, ("this", "again"): 9.0, ("this", "down"): 30.0},
    }  # fmt: skip
    found = {limit.what: (limit.value, limit.most) for limit in limits_of(medians, "this")}
    assert list(found.values()) == [(5.0, 6), (3.5, 4), (0.75, 0.8), (1.25, 1.3)]
    assert limits_of({10: medians[500]}, "this") == []


def test_rows_without_docker_compose_have_no_ratios() -> None:
    medians = {("this", "up"): 150.0, ("this", "again"): 9.0, ("this", "down"): 30.0}
    (row,) = rows_of(500, medians, [Installation("this", Path("program"))])
    assert row == (500, "this", 150.0, 9.0, 30.0, None, None, None, 0.3)
