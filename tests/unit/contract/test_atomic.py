"""Files that are replaced completely or not at all."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fedsim_runner.contract import atomic


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("old", encoding="utf-8")
    with pytest.raises(RuntimeError), atomic.replacing(target) as draft:
        draft.write_text("half", encoding="utf-8")
        raise RuntimeError
    assert names(tmp_path) == ["file"]
    assert target.read_text(encoding="utf-8") == "old"


def test_a_block_that_removes_its_draft_keeps_the_old_file(tmp_path: Path) -> None:
    atomic.write(tmp_path / "file", "old")
    with atomic.replacing(tmp_path / "file") as draft:
        draft.write_text("the same", encoding="utf-8")
        draft.unlink()
    assert (tmp_path / "file").read_text(encoding="utf-8") == "old"
    assert names(tmp_path) == ["file"]


def test_a_draft_does_not_match_patterns_of_the_file_it_becomes(tmp_path: Path) -> None:
    with atomic.replacing(tmp_path / "run.json") as draft:
        draft.write_text("{}", encoding="utf-8")
        assert list(tmp_path.glob("*.json")) == []


def test_many_writers_of_one_file(tmp_path: Path) -> None:
    texts = [str(number) * 10_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda text: atomic.write(tmp_path / "file", text), texts * 5))
    assert (tmp_path / "file").read_text(encoding="utf-8") in texts
    assert names(tmp_path) == ["file"]


def test_the_mode_is_set_before_the_file_is_in_place(tmp_path: Path) -> None:
    atomic.write(tmp_path / "file", b"\x00", mode=0o640)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_an_error_for_people_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(
        atomic.CannotWriteError, match=f"^{tmp_path}/none/file cannot be .*: there is no folder {tmp_path}/none"
    ):
        atomic.replace(tmp_path / "none" / "file", "text")


def test_a_short_text_fits_into_the_existing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "cursor"
    target.write_text("a long text", encoding="utf-8")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic, "write", full)
    atomic.write_or_overwrite(target, "short")
    assert target.read_text(encoding="utf-8") == "short"


def test_nothing_is_appended_through_a_link_or_into_a_pipe(tmp_path: Path) -> None:
    outside, link, pipe = tmp_path / "outside", tmp_path / "link", tmp_path / "pipe"
    outside.touch()
    link.symlink_to(outside)
    os.mkfifo(pipe)
    for path in (link, pipe):
        with pytest.raises(atomic.CannotWriteError, match=f"{path} cannot be written"):
            atomic.AppendFile(path)
    assert outside.read_bytes() == b""


def test_an_error_names_the_file_and_not_its_draft(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "rounds.csv"
    with pytest.raises(OSError, match="No such file or directory") as failed:
        atomic.write(path, "")
    assert failed.value.filename == str(path)
    with pytest.raises(OSError, match="directory") as failed, atomic.replacing(tmp_path) as draft:
        draft.write_text("")
    assert (failed.value.filename, failed.value.filename2) == (str(tmp_path), None)
