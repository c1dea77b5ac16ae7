"""Temporary folders are removed with the process that made them, however it ends."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from fedsim_runner.temporary_folders import PREFIX, remove_abandoned, temporary_folder

HOLD = """\
import sys
from fedsim_runner.temporary_folders import temporary_folder
with temporary_folder() as folder:
    (folder / "secret").write_text("x")
    print(folder, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_a_folder_is_removed_at_the_end_and_nobody_else_may_enter_it(place: Path) -> None:
    with pytest.raises(KeyError), temporary_folder() as folder:
        assert folder.parent == place
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "file").touch()
        raise KeyError
    assert list(place.iterdir()) == []


@pytest.mark.process
def test_that_of_a_killed_process_goes_and_that_of_a_living_one_stays(place: Path) -> None:
    (place / "fedsim-other").mkdir()
    (place / f"{PREFIX}file").touch()
    holders = [
        subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    folders = []
    for holder in holders:
        assert holder.stdout is not None
        folders.append(Path(holder.stdout.readline().strip()))
    holders[0].kill()
    holders[0].communicate()
    assert folders[0].exists()
    with temporary_folder() as own:
        assert not folders[0].exists()
        remove_abandoned()
        assert (folders[1] / "secret").exists()
        assert own.exists()
    holders[1].communicate("\n")
    assert {path.name for path in place.iterdir()} == {"fedsim-other", f"{PREFIX}file"}


def test_nobody_removes_a_folder_that_is_being_made(place: Path) -> None:
    stop = threading.Event()

    def sweep() -> None:
        while not stop.is_set():
            remove_abandoned()

    sweepers = [threading.Thread(target=sweep) for _ in range(2)]
    for sweeper in sweepers:
        sweeper.start()
    try:
        for number in range(50):
            with temporary_folder() as folder:
                (folder / "file").write_text(str(number), encoding="utf-8")
                assert (folder / "file").read_text(encoding="utf-8") == str(number)
    finally:
        stop.set()
        for sweeper in sweepers:
            sweeper.join()
    assert list(place.iterdir()) == []
