"""The agent's own files on a disk that fills up, and reading the files of participants that misbehave."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedsim_runner.agent.course.gate_files import Gate
from fedsim_runner.agent.course.tail import LONGEST_LINE, Tail
from fedsim_runner.agent.host.journal import RESERVE, Journal
from fedsim_runner.contract.atomic import AppendFile, CannotWriteError, replace
from fedsim_runner.contract.events import AgentStarted, CourseFailed, Evaluated
from fedsim_runner.contract.paths import StateFolder


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "fedsim-test", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(folder: Path) -> None:
    with (folder / "filler").open("wb", buffering=0) as stream, pytest.raises(OSError, match="No space left"):
        while True:
            stream.write(bytes(4096))


@pytest.mark.process
def test_a_full_disk_is_named_and_leaves_no_half_line(small: Path) -> None:
    file = AppendFile(small / "file")
    file.append(b"one\n")
    fill(small)
    with pytest.raises(CannotWriteError, match=f"^no space left on {small}/file$"):
        file.append(bytes(100_000))
    assert (small / "file").read_bytes() == b"one\n"
    with pytest.raises(CannotWriteError, match=f"^no space left on {small}/whole$"):
        replace(small / "whole", "x" * 10_000)
    assert {path.name for path in small.iterdir()} == {"file", "filler"}
    file.close()


@pytest.mark.process
def test_the_journal_records_the_end_in_its_reserve(small: Path) -> None:
    journal = Journal(small / "journal.jsonl")
    journal.write(AgentStarted())
    fill(small)
    for number in range(200):
        journal.write(Evaluated(number, {"x": float("nan")}))
    assert journal.failure == f"no space left on {small}/journal.jsonl"
    assert not journal.stuck
    assert not (small / RESERVE).exists()
    lines = [json.loads(line) for line in (small / "journal.jsonl").read_text().splitlines()]
    assert [line.get("round") for line in lines[1:]] == list(range(200))
    fill(small)
    for number in range(200):
        journal.write(Evaluated(number, {"x": float("nan")}))
    assert journal.stuck
    (small / "filler").unlink()
    journal.write(CourseFailed())
    assert not journal.stuck
    assert (small / "journal.jsonl").read_text().count("\n") == 402
    journal.close()


def test_the_gate_opens_and_shuts(tmp_path: Path) -> None:
    gate = Gate(StateFolder(tmp_path))
    assert gate.read() is None
    gate.open(12.5)
    assert gate.read() == 12.5
    gate.shut()
    gate.shut()
    assert gate.read() is None


def test_a_log_is_followed_into_new_folders_in_whole_lines(tmp_path: Path) -> None:
    tail = Tail(tmp_path)
    assert list(tail.lines()) == []
    (tmp_path / "course").mkdir()
    log = tmp_path / "course" / "exp_print.log"
    log.write_text("one\ntw")
    assert list(tail.lines()) == ["one"]
    with log.open("a") as file:
        file.write("o\n")
    assert list(tail.lines()) == ["two"]
    tail.rescan()
    (tmp_path / "course" / "sub_exp_1").mkdir()
    (tmp_path / "course" / "sub_exp_1" / "exp_print.log").write_text("again\n")
    assert list(tail.lines()) == ["again"]
    tail.close()


def test_a_tail_finds_a_file_that_appears_long_after_its_folder(tmp_path: Path) -> None:
    course = tmp_path / "course"
    course.mkdir()
    for folder in (tmp_path, course):
        os.utime(folder, (1.0, 1.0))
    tails = [Tail(tmp_path), Tail(tmp_path, "events.jsonl", in_course=False)]
    for _ in range(3):
        assert [list(tail.lines()) for tail in tails] == [[], []]
    (course / "exp_print.log").write_text("logged\n")
    (tmp_path / "events.jsonl").write_text("reported\n")
    assert [list(tail.lines()) for tail in tails] == [["logged"], ["reported"]]
    for tail in tails:
        tail.close()


def test_lost_clients_are_announced_together_and_forgotten_by_the_next_course(tmp_path: Path) -> None:
    gate = Gate(StateFolder(tmp_path))
    gate.open(1.0)
    assert gate.lost() == {}
    gate.announce_lost({"a": "frozen", "b": "ended"})
    assert gate.lost() == {"a": "frozen", "b": "ended"}
    assert (tmp_path / "gate" / "lost.json").stat().st_mode & 0o777 == 0o644
    gate.shut()
    assert gate.lost() != {}
    gate.forget_lost()
    assert gate.lost() == {}
    (tmp_path / "gate" / "lost.json").write_text("[]")
    assert gate.lost() == {}


def test_a_tail_bounds_each_read_and_drops_endless_lines(tmp_path: Path) -> None:
    (tmp_path / "course").mkdir()
    log = tmp_path / "course" / "exp_print.log"
    log.write_bytes(b"x\n" * (1 << 20))
    tail = Tail(tmp_path)
    first = list(tail.lines(most=1 << 19))
    assert 0 < len(first) <= 1 << 18
    seen = len(first)
    # A participant that writes a million lines a second must not keep the agent from reading the others.
    while more := len(list(tail.lines())):
        assert more <= 1 << 18
        seen += more
    assert seen == 1 << 20
    with log.open("ab") as stream:
        stream.write(b"y" * (LONGEST_LINE + 1))
    assert list(tail.lines()) == []
    with log.open("ab") as stream:
        stream.write(b"\nlast\n")
    assert list(tail.lines())[-1] == "last"
    tail.close()


def test_a_tail_follows_no_link_and_never_blocks_on_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "course").mkdir()
    (tmp_path / "secret").write_text("secret\n")
    (tmp_path / "course" / "exp_print.log").symlink_to(tmp_path / "secret")
    pipe = tmp_path / "course" / "activity.jsonl"
    os.mkfifo(pipe)
    writer = os.open(pipe, os.O_RDWR)
    assert list(Tail(tmp_path).lines()) == []
    assert list(Tail(tmp_path, "activity.jsonl").lines()) == []
    (tmp_path / "events.jsonl").symlink_to(tmp_path / "secret")
    assert list(Tail(tmp_path, "events.jsonl", in_course=False).lines()) == []
    (tmp_path / "events.jsonl").unlink()
    os.mkfifo(tmp_path / "events.jsonl")
    assert list(Tail(tmp_path, "events.jsonl", in_course=False).lines()) == []
    os.close(writer)


def test_a_tail_enters_no_linked_folder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "course" / "sub_exp").mkdir(parents=True)
    (out / "course" / "sub_exp" / "exp_print.log").write_text("own\n")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "exp_print.log").write_text("of another device\n")
    (out / "course" / "sub_exp_2").symlink_to(tmp_path / "other")
    (out / "course_2").symlink_to(tmp_path / "other")
    tail = Tail(out)
    assert list(tail.lines()) == ["own"]
    tail.close()


def test_a_tail_opens_no_more_files_than_a_course_has(tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / f"course{number}").mkdir()
        (tmp_path / f"course{number}" / "exp_print.log").write_text("x\n")
    tail = Tail(tmp_path)
    assert len(list(tail.lines())) == 64
    tail.close()
