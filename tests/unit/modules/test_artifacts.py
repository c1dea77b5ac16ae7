"""What devices write, packed and unpacked: whatever one of them does to its out folder, the others' files arrive."""

from __future__ import annotations

import gzip
import io
import os
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.fedsim.testbed.plugins.module_utils import _artifact_archive as archive
from ansible_collections.fedsim.testbed.plugins.module_utils._folder_removal import remove_folder
from ansible_collections.fedsim.testbed.plugins.modules.fedsim_unpack import unpack

MB = 1 << 20


def pack(tmp_path: Path, most: int = 64 * MB, max_file_bytes: int = 32 * MB) -> tuple[Path, list[str]]:
    """Pack the folders in ``tmp_path/devices`` and return the tar file and what was left out."""
    packed = tmp_path / "packed.tar"
    with tarfile.open(packed, "w", format=tarfile.PAX_FORMAT) as tar:
        made = archive.ArtifactArchive(tar, max_file_bytes)
        for folder in sorted((tmp_path / "devices").iterdir()):
            made.add_folder(folder, f"collected/{folder.name}", most)
    return packed, made.left_out


def carry(tmp_path: Path, **bounds: int) -> tuple[set[str], list[str], list[str]]:
    """Pack and unpack; return the files that arrive below ``run``, what was left out there, and here."""
    packed, left_out = pack(tmp_path, **bounds)
    _, not_written = unpack(str(packed), tmp_path / "run", False)
    root = tmp_path / "run" / "collected"
    arrived = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    return arrived, left_out, not_written


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The out folder of the device that is not friendly; another one has a log."""
    (tmp_path / "devices" / "good" / "course").mkdir(parents=True)
    (tmp_path / "devices" / "good" / "course" / "exp_print.log").write_text("round 1\n")
    folder = tmp_path / "devices" / "bad"
    folder.mkdir()
    return folder


def long_names(out: Path) -> None:
    (out / ("a" * 255)).write_text("x")
    (out / ("é" * 127)).write_text("x")


def undecodable_names(out: Path) -> None:
    (out / os.fsdecode(b"\xff\xfe.log")).write_text("x")
    (out / os.fsdecode(b"\xff")).mkdir()
    (out / os.fsdecode(b"\xff") / "inner").write_text("x")


def unprintable_names(out: Path) -> None:
    for name in ("\x1b]0;title\x07", "new\nline", "\u202egpj.exe", "\x9b2J", "tab\there"):
        (out / name).write_text("x")


def deep_folders(out: Path) -> None:
    make_deep(out, 1100)


def long_paths(out: Path) -> None:
    folder = out
    for _ in range(8):
        folder /= "d" * 200
        folder.mkdir()
    (folder / "file").write_text("x")


def sparse_files(out: Path) -> None:
    for number in range(40):
        with (out / f"sparse-{number}").open("wb") as stream:
            stream.truncate(30 * MB)
    with (out / "huge").open("wb") as stream:
        stream.truncate(1 << 40)


def many_names_of_one_file(out: Path) -> None:
    (out / "one").write_bytes(bytes(MB))
    for number in range(100):
        os.link(out / "one", out / f"name-{number}")


def many_files(out: Path) -> None:
    (out / "many").mkdir()
    for number in range(150):
        (out / "many" / str(number)).touch()


def links_and_pipes(out: Path) -> None:
    (out / "passwd").symlink_to("/etc/passwd")
    (out / "etc").symlink_to("/etc")
    (out / "loop").symlink_to("loop")
    os.mkfifo(out / "pipe")


def large_files(out: Path) -> None:
    for number in range(5):
        (out / f"large-{number}").write_bytes(os.urandom(1) * 16 * MB)


def zip_bombs(out: Path) -> None:
    with zipfile.ZipFile(out / "results.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("zeros", bytes(64 * MB))
    (out / "course").mkdir()
    (out / "course" / "eval_results.raw.gz").write_bytes(gzip.compress(bytes(64 * MB)))


def make_deep(folder: Path, depth: int) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(depth):
        os.mkdir("deep", dir_fd=descriptor)
        outer, descriptor = descriptor, os.open("deep", os.O_RDONLY | os.O_DIRECTORY, dir_fd=descriptor)
        os.close(outer)
    os.close(descriptor)


@pytest.mark.process  # removing what is very deep takes a program
@pytest.mark.parametrize(
    ("write", "left"),
    [
        (long_names, ""),
        (undecodable_names, "the name is not UTF-8"),
        (unprintable_names, "characters that cannot be printed"),
        (deep_folders, "more than 20 folders deep"),
        (long_paths, "the path is longer than 1024 bytes"),
        (sparse_files, "are holes"),
        (many_names_of_one_file, "another name of a file that is packed"),
        (many_files, "one of more than 100 files"),
        (links_and_pipes, "not a regular file"),
        (large_files, "larger than its disk_mb"),
        (zip_bombs, ""),  # they are files like others: nothing opens them
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_one_device_costs_no_other_its_results(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], None], left: str
) -> None:
    monkeypatch.setattr(archive, "MAX_FILES", 100)
    write(out)
    (out / "exit.json").write_text("{}")
    arrived, left_out, not_written = carry(tmp_path)
    assert {"good/course/exp_print.log", "bad/exit.json"} <= arrived
    assert any(left in entry for entry in left_out) if left else not left_out
    assert not not_written
    assert len(left_out) <= archive.MAX_NAMED + 1
    assert all(entry.isprintable() for entry in left_out)
    size = sum(path.stat().st_size for path in (tmp_path / "run").rglob("*") if path.is_file())
    assert size <= 64 * MB + archive.MAX_HOLE_BYTES
    assert (tmp_path / "packed.tar").stat().st_size <= size + 2048 * (len(arrived) + 20)
    remove_folder(out)
    assert not out.exists()


def test_names_as_long_as_names_can_be_arrive(tmp_path: Path, out: Path) -> None:
    long_names(out)
    arrived, _, _ = carry(tmp_path)
    assert {f"bad/{'a' * 255}", f"bad/{'é' * 127}"} <= arrived
    assert carry(tmp_path)[0] == arrived, "and a second time"


def test_what_matters_is_packed_before_anything_else(tmp_path: Path, out: Path) -> None:
    for number in range(20):
        (out / f"a-{number:02}").write_bytes(bytes([number]) * MB)
    (out / "course").mkdir()
    (out / "course" / "exp_print.log").write_text("its log")
    (out / "exit.json").write_text("{}")
    arrived, left_out, _ = carry(tmp_path, most=4 * MB)
    assert {"bad/exit.json", "bad/course/exp_print.log", "bad/a-00", "bad/a-02"} <= arrived
    assert "bad/a-04" not in arrived and len(left_out) == 17


def test_a_file_with_small_holes_is_packed_as_it_is(tmp_path: Path, out: Path) -> None:
    with (out / "index").open("wb") as stream:
        stream.write(b"begin")
        stream.seek(MB)
        stream.write(b"end")
    arrived, left_out, _ = carry(tmp_path)
    assert "bad/index" in arrived and not left_out
    assert (tmp_path / "run/collected/bad/index").read_bytes() == (out / "index").read_bytes()


def test_a_file_that_is_cut_while_it_is_packed_ends_in_zeros(tmp_path: Path, out: Path) -> None:
    class CutFile(io.BytesIO):
        """Says at first that it is longer than it is."""

        def fileno(self) -> int:
            return descriptor

    path = out / "log"
    path.write_bytes(b"x" * 100)
    descriptor = os.open(path, os.O_RDONLY)
    packed = tmp_path / "packed.tar"
    with tarfile.open(packed, "w") as tar:
        archive.ArtifactArchive(tar, MB)._copy(CutFile(b"x" * 10), "log")
        archive.ArtifactArchive(tar, MB).add("after", b"whole")
    os.close(descriptor)
    with tarfile.open(packed) as tar:
        found = {member.name: tar.extractfile(member) for member in tar.getmembers()}
        assert {name: stream.read() for name, stream in found.items() if stream} == {
            "log": b"x" * 10 + bytes(90),
            "after": b"whole",
        }


def test_a_file_that_cannot_be_written_here_is_named_and_the_others_arrive(tmp_path: Path, out: Path) -> None:
    (out / "table").mkdir()
    (out / "table" / "rows").write_text("x")
    packed, _ = pack(tmp_path)
    # A second collection, after the device has made a folder of what was a file.
    (tmp_path / "run" / "collected" / "bad").mkdir(parents=True)
    (tmp_path / "run" / "collected" / "bad" / "table").write_text("x")
    written, left_out = unpack(str(packed), tmp_path / "run", False)
    assert written == ["collected/good/course/exp_print.log"]
    assert left_out == ["collected/bad/table/rows: Not a directory"] or left_out == [
        "collected/bad/table/rows: File exists"
    ]


@pytest.mark.process
def test_a_folder_is_removed_however_deep(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (tmp_path / "kept").write_text("x")
    (folder / "link").symlink_to(tmp_path)
    make_deep(folder, sys.getrecursionlimit() + 100)
    remove_folder(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    with pytest.raises(FileNotFoundError):
        remove_folder(folder)
