"""Whatever happens to the output of a run, to its disk, or in the program itself: the testbed goes, and the exit code
says why."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedsim_runner.contract.process_identity import start_time
from fedsim_runner.temporary_folders import PREFIX
from tests.unit.conftest import TESTBED, Driver

pytestmark = pytest.mark.ansible

SECRET = "a-secret-of-the-environment"
# What shows the course is broken, also while the testbed is torn down.
BUG = """
from fedsim_runner.console.progress import Progress
from fedsim_runner.testbed.docker import testbed as docker

def broken(self, name, begin=Progress.stage):
    if name in ("course", "teardown"):
        raise LookupError("a bug of ours")
    begin(self, name)

Progress.stage = broken
"""


@pytest.fixture
def long(driver: Driver) -> Driver:
    """A run whose course would go on for a while."""
    steps = f"echo $$ > {driver.root}/pid; sleep 30; touch {driver.root}/went-on"
    driver.stages([("devices", f"touch {driver.root}/began; sleep 1"), ("course", steps)])
    return driver


def wait_for(driver: Driver, name: str) -> None:
    end = time.monotonic() + 60
    while not driver.has(name):
        assert driver.process.poll() is None, driver.output
        assert time.monotonic() < end
        time.sleep(0.02)


def assert_torn_down(driver: Driver) -> None:
    assert driver.has("torn-down")
    assert not driver.has("left-0")
    assert not driver.has("went-on")
    if driver.has("pid"):  # what the playbook was doing was ended
        assert start_time(int((driver.root / "pid").read_text(encoding="utf-8"))) is None


def test_a_reader_that_goes_away(long: Driver) -> None:
    reader, writer = os.pipe()
    long.start(str(long.spec), "--run", "mine", output=writer)
    os.close(writer)
    wait_for(long, "began")
    os.close(reader)
    assert long.finish() == 141
    assert_torn_down(long)


def test_a_full_disk_under_standard_output(long: Driver) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        long.start(str(long.spec), "--run", "mine", output=full.fileno())
        assert long.finish() == 74
    assert not long.has("left-0")
    manifest = json.loads((long.root / "runs" / "mine" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["status"] == "interrupted"


def test_a_terminal_that_is_closed(long: Driver) -> None:
    ours, its = pty.openpty()
    long.start(str(long.spec), "--run", "mine", output=its, TERM="xterm")
    os.close(its)
    wait_for(long, "pid")
    os.close(ours)
    for _ in range(3):  # as the kernel and a shell send it
        long.signal(signal.SIGHUP)
    assert long.finish() in (74, 130)
    assert_torn_down(long)


def test_an_error_of_our_own(long: Driver) -> None:
    (long.root / "tiny_testbed.py").write_text(TESTBED + BUG, encoding="utf-8")
    assert long.run(str(long.spec), "--run", "mine") == 70, long.output
    assert "internal error: LookupError: a bug of ours; details in" in long.output
    assert "the testbed was torn down" in long.output
    assert "Traceback" not in long.output
    assert_torn_down(long)


def test_a_terminal_that_lacks_characters(driver: Driver) -> None:
    driver.stages([("devices", "true")])
    ours, its = pty.openpty()
    driver.start(str(driver.spec), "--run", "mine", output=its, PYTHONIOENCODING="ascii", TERM="xterm")
    os.close(its)
    shown = b""
    while data := _read(ours):
        shown += data
    assert driver.finish() == 0, shown
    assert shown.isascii()
    assert b"+\x1b[0m devices" in shown


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # how Linux reports that the other side has been closed
        return b""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder with little space, in which a run folder just fits."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "fedsim-test", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_below_the_run_folder(small_disk: Path, driver: Driver) -> None:
    fill = f"cat /dev/zero > {small_disk}/rest; true"
    driver.stages([("devices", "true"), ("agent", fill)])
    assert driver.run(str(driver.spec), "--run", "mine", "--runs-dir", str(small_disk)) == 5, driver.output
    assert f"no space left on {small_disk}/mine" in driver.output
    assert "Traceback" not in driver.output
    assert_torn_down(driver)


def test_down_does_not_write_into_the_run_folder(small_disk: Path, driver: Driver) -> None:
    driver.stages([("links", "false")])
    assert driver.run(str(driver.spec), "--run", "mine", "--runs-dir", str(small_disk), "--keep") == 4, driver.output
    (small_disk / "mine" / "ansible.log").unlink()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    assert driver.run("down", "mine") == 0, driver.output
    assert not driver.has("left-0")


def test_a_home_that_can_only_be_read(small_disk: Path, driver: Driver) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    home = {"HOME": str(small_disk), "XDG_STATE_HOME": str(small_disk / "state")}
    driver.stages([("devices", "false")])
    driver.start(str(driver.spec), "--run", "mine", "--keep", **home)
    assert driver.finish() == 4, driver.output
    assert f"{small_disk}/state" in driver.output
    assert "XDG_STATE_HOME names another folder" in driver.output
    assert "error: stage devices failed on local: non-zero return code" in driver.output
    driver.start("down", "mine", **home)
    assert driver.finish() == 0, driver.output
    assert_torn_down(driver)


def test_a_killed_wrapper_leaves_no_environment_behind(long: Driver, tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    given = {"TMPDIR": str(temporary), "SECRET": SECRET}
    long.start(str(long.spec), "--run", "mine", **given)
    wait_for(long, "pid")
    long.signal(signal.SIGKILL)
    long.finish()
    left = [path for path in temporary.rglob("*") if path.is_file()]
    assert any(PREFIX in str(path) for path in left)
    assert not [path for path in left if SECRET in path.read_text(encoding="utf-8", errors="replace")]
    # down does not need its output.
    reader, writer = os.pipe()
    os.close(reader)
    long.start("down", "mine", output=writer, **given)
    os.close(writer)
    assert long.finish() == 141
    assert_torn_down(long)
    assert list(temporary.iterdir()) == []
