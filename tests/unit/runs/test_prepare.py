"""Run folders from experiments."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.contract.reservation import read_reservations
from fedsim_runner.lab.access import NO_KEYS, LabAccess, LabKeys
from fedsim_runner.lab.host import LabHost
from fedsim_runner.runs.inputs import hide_as
from fedsim_runner.runs.manifest import folder_id_of
from fedsim_runner.runs.options import RunOptions
from fedsim_runner.runs.planning import plan_only
from fedsim_runner.runs.prepare import Prepared, prepare_run
from fedsim_runner.runs.reservation import reserve_run
from fedsim_runner.testbed.docker import privileges
from fedsim_runner.testbed.docker.privileges import check_privileges, root_command
from fedsim_runner.testbed.docker.testbed import DockerTestbed
from tests.builders import experiment, lab_host
from tests.fake_engine import FakeEngine


class Lab:
    """A testbed whose lab host a test describes."""

    def __init__(self, state_root: Path) -> None:
        self.cpus = 4.0
        self.engine = FakeEngine()
        self.state_root = state_root

    @property
    def testbed(self) -> DockerTestbed:
        def probe(hosts: Sequence[LabHost], access: LabAccess) -> list[LabHost]:
            found = tuple(read_reservations(self.state_root))
            return [
                lab_host(host.name, cpus=self.cpus, reservations=found, state_root=host.state_root) for host in hosts
            ]

        return DockerTestbed(
            connect=lambda host, timeout_s: nullcontext(self.engine), probe=probe, state_root=self.state_root
        )


@pytest.fixture
def lab(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return Lab(tmp_path_factory.mktemp("state-folders"))


def prepare(options: RunOptions, lab: Lab) -> Prepared:
    with reserve_run(options, "study", 0.0, lab.testbed) as reserved:
        return prepare_run(experiment(), options, reserved, lab.testbed)


def test_planned_runs_have_folders_of_their_own_and_may_share_a_subnet(lab: Lab, tmp_path: Path) -> None:
    options = RunOptions(runs_dir=tmp_path / "runs")
    first, second = (prepare(options, lab) for _ in range(2))
    assert first.run != second.run
    assert first.plan.subnet == second.plan.subnet
    # The second counts with what the first has reserved, though it has no agent yet.
    (taken,) = second.plan.lab_hosts[0].taken
    assert (taken.run, taken.cpus) == (first.run, pytest.approx(sum(item.cpus for item in first.plan.placed)))
    assert not first.existed
    for name in ("experiment.yaml", "plan.json", "inventory/hosts.yml", "inventory/device_files/local.json"):
        assert (first.folder / name).exists()


def test_a_run_that_is_up_is_found(lab: Lab, tmp_path: Path) -> None:
    lab.engine.things = {"mine": ["fedsim-mine"]}
    assert prepare(RunOptions(run="mine", runs_dir=tmp_path), lab).existed


def test_a_copy_of_a_run_folder_has_its_id_and_another_folder_of_the_name_has_not(lab: Lab, tmp_path: Path) -> None:
    first = prepare(RunOptions(run="mine", runs_dir=tmp_path / "first"), lab)
    assert folder_id_of(first.folder) != first.folder_id  # nothing has begun in it
    (first.folder / "manifest.json").write_text(json.dumps({"folder_id": first.folder_id}), encoding="utf-8")
    copy = tmp_path / "second" / "mine"
    shutil.copytree(first.folder, copy)
    assert prepare(RunOptions(run="mine", runs_dir=tmp_path / "second"), lab).folder_id == first.folder_id
    (reserved,) = read_reservations(lab.state_root)
    assert reserved.folder_id == first.folder_id
    # One from somebody else, which Ansible must not read.
    (copy / "manifest.json").write_text(json.dumps({"folder_id": "{{ lookup('pipe', 'id') }}"}), encoding="utf-8")
    assert folder_id_of(copy).isalnum()


@pytest.mark.parametrize(("mode", "folder", "file"), [(0o600, 0o700, 0o600), (0o640, 0o750, 0o640)])
def test_a_run_folder_is_hidden_from_those_who_cannot_read_the_experiment_file(
    lab: Lab, tmp_path: Path, mode: int, folder: int, file: int
) -> None:
    spec = tmp_path / "exp.yaml"
    spec.touch()
    spec.chmod(mode)
    options = RunOptions(runs_dir=tmp_path / "runs")
    for _ in range(2):
        with reserve_run(options, "study", 0.0, lab.testbed) as reserved:
            prepared = prepare_run(replace(experiment(), path=spec), options, reserved, lab.testbed)
        assert stat.S_IMODE(prepared.folder.stat().st_mode) == folder
        spec = prepared.folder / "experiment.yaml"  # a repetition reads this one
        assert stat.S_IMODE(spec.stat().st_mode) == file


@pytest.mark.parametrize(("mode", "hidden"), [(0o644, 0o755), (0o640, 0o700), (0o604, 0o755)])
def test_to_another_group_an_experiment_file_is_what_it_is_to_all(tmp_path: Path, mode: int, hidden: int) -> None:
    theirs = Mock(**{"stat.return_value": Mock(st_mode=mode, st_gid=os.getgid() + 1)})
    folder = tmp_path / "run"
    folder.mkdir()
    folder.chmod(0o755)
    hide_as(theirs, folder)
    assert stat.S_IMODE(folder.stat().st_mode) == hidden


def test_planning_changes_nothing(lab: Lab, tmp_path: Path) -> None:
    assert plan_only(experiment(), lab.testbed).run == "study"
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FedsimError, match="is not a run name"):
        plan_only(experiment(), lab.testbed, "No")


@pytest.mark.parametrize("run", [None, "mine"])
def test_an_experiment_that_does_not_fit_leaves_no_folder(run: str | None, lab: Lab, tmp_path: Path) -> None:
    lab.cpus = 0.001
    with pytest.raises(FedsimError) as refused:
        prepare(RunOptions(run, tmp_path / "runs"), lab)
    assert refused.value.exit is Exit.LAB
    assert list((tmp_path / "runs").iterdir()) == []


def test_without_root_and_sudo_the_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privileges.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(privileges.shutil, "which", lambda name: None)
    with pytest.raises(FedsimError, match="with sudo") as refused:
        check_privileges([LabHost("local")], NO_KEYS)
    assert refused.value.exit is Exit.LAB
    check_privileges([LabHost("local")], LabKeys(become_password="secret"))
    check_privileges([LabHost("elsewhere", connection="ssh")], NO_KEYS)


def test_root_needs_no_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privileges.os, "geteuid", lambda: 0)
    assert root_command(["probe"]) == ["probe"]
