"""Run ids, run folders, and the registry of runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fedsim_runner.contract.names import RUN_PATTERN, RunNameError, check_run
from fedsim_runner.lab.process_identity import is_alive, own_identity
from fedsim_runner.runs import folder as run_folder
from fedsim_runner.runs.folder import create_run_folder, give_to_user, new_run_id
from fedsim_runner.runs.registry import Registry, RunBusyError
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


def test_two_runs_in_the_same_second_get_two_folders(tmp_path: Path) -> None:
    first = create_run_folder(tmp_path / "runs", "study-1", named_by_user=False)
    second = create_run_folder(tmp_path / "runs", "study-1", named_by_user=False)
    assert first == ("study-1", tmp_path / "runs" / "study-1")
    assert second == ("study-1-2", tmp_path / "runs" / "study-1-2")


def test_a_chosen_name_may_be_used_again_until_it_has_results(tmp_path: Path) -> None:
    for _ in range(2):
        assert create_run_folder(tmp_path, "mine", named_by_user=True)[0] == "mine"
    report = tmp_path / "mine" / "report.json"
    report.write_text(json.dumps({"status": "running"}), encoding="utf-8")
    create_run_folder(tmp_path, "mine", named_by_user=True)
    report.write_text(json.dumps({"status": "finished"}), encoding="utf-8")
    with pytest.raises(RunNameError, match="choose another --run"):
        create_run_folder(tmp_path, "mine", named_by_user=True)


def test_under_sudo_files_belong_to_the_invoking_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owned: list[tuple[str, int, int]] = []
    monkeypatch.setattr(run_folder.os, "geteuid", lambda: 0)
    monkeypatch.setattr(run_folder.os, "chown", lambda path, uid, gid, **_: owned.append((str(path), uid, gid)))
    monkeypatch.setenv("SUDO_UID", "1234")
    monkeypatch.setenv("SUDO_GID", "1235")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "file").touch()
    give_to_user(tmp_path)
    assert {uid for _, uid, _ in owned} == {1234}
    assert str(tmp_path / "sub" / "file") in {path for path, _, _ in owned}


def test_the_registry_finds_a_run_and_forgets_it(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "state")
    assert registry.find("a") is None
    registry.record("a", tmp_path, "docker", ["local"], "running")
    found = registry.find("a")
    assert found is not None
    assert (found.folder, found.alive) == (str(tmp_path), True)
    assert [entry.run for entry in registry.all()] == ["a"]
    registry.forget("a")
    registry.forget("a")
    assert registry.all() == []


def test_a_damaged_entry_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{", encoding="utf-8")
    (tmp_path / "b.json").write_text("{}", encoding="utf-8")
    assert Registry(tmp_path).all() == []


@pytest.mark.process
def test_a_run_that_another_process_holds_is_busy(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib, time\n"
        "from fedsim_runner.runs.registry import Registry\n"
        "with Registry(pathlib.Path(sys.argv[1])).hold('a'):\n"
        "    print('held', flush=True); sys.stdin.readline()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(RunBusyError, match=str(holder.pid)), Registry(tmp_path).hold("a"):
        pass
    with Registry(tmp_path).hold("b"):
        pass
    holder.kill()
    holder.communicate()
    with Registry(tmp_path).hold("a"):
        pass


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
