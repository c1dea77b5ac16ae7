"""What the kernel runs of other architectures, and what was measured of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedsim_runner.contract.emulation import (
    SLOWDOWNS,
    Slowdown,
    describe_circumstances,
    emulated_architectures,
    find_interpreter,
    read_slowdowns,
    write_slowdowns,
)

ENTRY = """enabled
interpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P
flags: POF
offset 0
magic 7f454c460201010000000000000000000200b700
mask ffffffffffffff00fffffffffffffffffeffffff
"""


def registry(folder: Path, entry: str = ENTRY, status: str = "enabled") -> Path:
    (folder / "status").write_text(f"{status}\n")
    (folder / "qemu-aarch64").write_text(entry)
    return folder


def test_an_interpreter_that_the_kernel_has_opened_runs_programs_in_any_container(tmp_path: Path) -> None:
    there = registry(tmp_path)
    assert find_interpreter("arm64", there) == "/usr/libexec/qemu-binfmt/aarch64-binfmt-P"
    assert find_interpreter("amd64", there) is None
    assert find_interpreter("riscv64", there) is None
    assert emulated_architectures(there) == ("arm64",)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("enabled\n", "disabled\n"),
        ("flags: POF", "flags: PO"),
        ("offset 0", "offset 4"),
        ("magic 7f454c46", "magic 23212f62"),
        ("magic 7f454c46", "magic zz"),
        ("b700\n", "3e00\n"),
    ],
)
def test_other_entries_do_not_count(tmp_path: Path, old: str, new: str) -> None:
    assert find_interpreter("arm64", registry(tmp_path, ENTRY.replace(old, new, 1))) is None


def test_without_the_kernels_list_nothing_is_emulated(tmp_path: Path) -> None:
    assert emulated_architectures(tmp_path) == ()
    assert emulated_architectures(registry(tmp_path, status="disabled")) == ()


def test_what_was_measured_counts_until_the_processor_or_the_interpreter_changes(tmp_path: Path) -> None:
    (tmp_path / "list").mkdir()
    there, cpuinfo = registry(tmp_path / "list"), tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: EPYC\n")
    then = describe_circumstances(there, cpuinfo)
    assert then.startswith("EPYC, /usr/libexec/qemu-binfmt/aarch64-binfmt-P ")
    measured = {"arm64": {"light": Slowdown(12.5, 140.0)}}
    write_slowdowns(tmp_path, measured, then)
    assert read_slowdowns(tmp_path, then) == measured
    cpuinfo.write_text("model name\t: Xeon\n")
    assert read_slowdowns(tmp_path, describe_circumstances(there, cpuinfo)) == {}


@pytest.mark.parametrize("content", ["", "[]", '{"circumstances": "x", "slowdowns": {"arm64": {"light": 3}}}'])
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, content: str) -> None:
    assert read_slowdowns(tmp_path, "x") == {}
    (tmp_path / SLOWDOWNS).write_text(content)
    assert read_slowdowns(tmp_path, "x") == {}
