"""Run ids, run folders, and the registry of runs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from fedsim_runner.contract.names import RUN_PATTERN, RunNameError, check_run
from fedsim_runner.contract.process_identity import is_alive, own_identity
from fedsim_runner.runs import folder as run_folder
from fedsim_runner.runs.folder import give_to_user, new_run_id
from fedsim_runner.runs.registry import Registry
from fedsim_runner.testbed.orphans import end_processes


@pytest.mark.parametrize("name", ["study", "A Study_of 5G!", "x" * 90, "-", "ends-" * 9])
def test_generated_ids_are_valid(name: str) -> None:
    run = new_run_id(name, 1_700_000_000)
    assert RUN_PATTERN.fullmatch(run)
    assert run.endswith("-20231114t221320z")
    assert RUN_PATTERN.fullmatch(f"{run}-99")


@pytest.mark.parametrize("name", ["", "A", "a_b", "../x", "a" * 61, "-a", "a\n"])
def test_names_that_are_not_run_ids(name: str) -> None:
    with pytest.raises(RunNameError):
        check_run(name)


def test_under_sudo_files_belong_to_the_invoking_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owned: list[tuple[str, int, int]] = []
    monkeypatch.setattr(run_folder.os, "geteuid", lambda: 0)
    monkeypatch.setattr(run_folder.os, "chown", lambda path, uid, gid, **_: owned.append((str(path), uid, gid)))
    monkeypatch.setenv("SUDO_UID", "1234")
    monkeypatch.setenv("SUDO_GID", "1235")
    owners = {"theirs": 4321}
    monkeypatch.setattr(run_folder.Path, "lstat", lambda path: SimpleNamespace(st_uid=owners.get(path.name, 0)))
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "file").touch()
    (tmp_path / "sub" / "theirs").touch()
    give_to_user(tmp_path)
    assert {uid for _, uid, _ in owned} == {1234}
    paths = {path for path, _, _ in owned}
    assert str(tmp_path / "sub" / "file") in paths
    assert str(tmp_path / "sub" / "theirs") not in paths


def test_a_path_that_no_text_can_hold_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    strange = tmp_path / "caf\udce9"
    strange.mkdir()
    (tmp_path / "link").symlink_to(strange)
    for runs in (strange, tmp_path / "link"):
        with pytest.raises(RunNameError, match="this path is not UTF-8: go to another folder, or name one with"):
            run_folder.make_new_folder(runs, "a")
    assert list(strange.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "loop"])
def test_a_runs_folder_that_is_none_is_not_taken_for_a_run_of_the_same_name(kind: str, tmp_path: Path) -> None:
    """Who takes it so tries one number after another for ever."""
    runs = tmp_path / "runs"
    if kind == "file":
        runs.write_text("", encoding="utf-8")
    else:
        runs.symlink_to("runs")
    with pytest.raises(NotADirectoryError) as refused:
        run_folder.make_new_folder(runs, "study-1")
    assert refused.value.filename == str(runs)


def test_the_registry_finds_a_run_and_forgets_it(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "state")
    assert registry.find("a") is None
    registry.record("a", tmp_path, "docker", ["local"], "running")
    found = registry.find("a")
    assert found is not None
    assert (found.folder, found.state) == (str(tmp_path), "running")
    assert [entry.run for entry in registry.all()] == ["a"]
    registry.forget("a")
    registry.forget("a")
    assert registry.all() == []


def test_a_damaged_entry_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{", encoding="utf-8")
    (tmp_path / "b.json").write_text("{}", encoding="utf-8")
    assert Registry(tmp_path).all() == []


@pytest.mark.parametrize(
    "content",
    [
        '"lab_host"',
        "[]",
        "null",
        "[" * 100_000,
        '{"run": "r", "folder": null, "testbed": "docker", "lab_hosts": [], "state": "up"}',
        '{"run": "r", "folder": "/r", "testbed": "docker", "lab_hosts": [1], "state": "up"}',
        '{"run": "other", "folder": "/r", "testbed": "docker", "lab_hosts": [], "state": "up"}',
    ],
    ids=["text", "list", "null", "deep", "folder", "lab host", "another run"],
)
def test_an_entry_of_another_form_is_ignored(content: str, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(content, encoding="utf-8")
    assert Registry(tmp_path).find("r") is None
    assert Registry(tmp_path).all() == []


@pytest.mark.process
def test_only_orphans_are_ended(tmp_path: Path) -> None:
    environment = {**os.environ, "FEDSIM_TEST_RUN": tmp_path.name}
    mine = {**environment, "FEDSIM_TEST_OWNER": own_identity()}
    orphaned = {**environment, "FEDSIM_TEST_OWNER": "1:1"}
    living = subprocess.Popen(["sleep", "60"], env=mine)
    orphan = subprocess.Popen(["sleep", "60"], env=orphaned)
    try:
        assert end_processes("FEDSIM_TEST_RUN", tmp_path.name, only_orphans_of="FEDSIM_TEST_OWNER") == 1
        assert orphan.wait(5) != 0
        assert living.poll() is None
        assert end_processes("FEDSIM_TEST_RUN", tmp_path.name) == 1
        assert living.wait(5) != 0
    finally:
        for process in (living, orphan):
            process.kill()
            process.wait()


def test_identity_of_a_process() -> None:
    assert is_alive(own_identity())
    assert not is_alive(f"{os.getpid()}:1")
    assert not is_alive("")
