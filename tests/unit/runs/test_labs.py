"""Which lab a command works on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.lab.access import LabAccess, LabKeys
from fedsim_runner.runs.labs import LOCAL, LabOptions, choose_lab, on_lab_of_run
from fedsim_runner.runs.lookup import all_runs, lab_to_repeat_on
from fedsim_runner.runs.registry import Registry
from fedsim_runner.testbed.values import UnreachableError
from tests.fake_testbed import FakeTestbed


class OnLab(FakeTestbed):
    """Remembers its lab."""

    traits = FakeTestbed.traits.__class__("docker", "thoughts", "interrupted", FakeTestbed.traits.stages)
    access: LabAccess | None = None

    def on_lab(self, access: LabAccess) -> OnLab:
        self.access = access
        return self


@pytest.fixture
def default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user configuration with a lab."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "fedsim").mkdir()
    (tmp_path / "fedsim" / "config.yaml").write_text("lab: {inventory: ours}\n", encoding="utf-8")
    return tmp_path / "fedsim" / "ours"


def test_the_named_lab_counts_before_the_users_default(default: Path, tmp_path: Path) -> None:
    assert choose_lab(OnLab())[1] == default
    assert choose_lab(OnLab(), LabOptions(str(tmp_path / "theirs")))[1] == tmp_path / "theirs"
    here = OnLab()
    assert choose_lab(here, LabOptions(LOCAL)) == (here, None)
    assert here.access is None


def test_a_run_is_looked_for_where_it_was_recorded_to_be(default: Path, tmp_path: Path) -> None:
    recorded, here, unknown = OnLab(), OnLab(), OnLab()
    on_lab_of_run(recorded, tmp_path / "theirs", True, LabOptions())
    on_lab_of_run(here, None, True, LabOptions())
    on_lab_of_run(unknown, None, False, LabOptions())
    assert recorded.access == LabAccess(tmp_path / "theirs")
    assert here.access is None
    assert unknown.access == LabAccess(default)


def test_a_run_of_the_users_own_is_repeated_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    folder, copy = tmp_path / "runs" / "study", tmp_path / "copy"
    nothing, theirs = LabOptions(), LabOptions("theirs")
    assert lab_to_repeat_on("study", folder, nothing) == nothing
    Registry().record("study", folder, "docker", ["lab1"], "finished", tmp_path / "ours")
    assert lab_to_repeat_on("study", folder, nothing) == LabOptions(str(tmp_path / "ours"))
    assert lab_to_repeat_on("study", folder, theirs) == theirs
    assert lab_to_repeat_on("study", copy, nothing) == nothing
    Registry().record("study", folder, "docker", ["local"], "finished")
    assert lab_to_repeat_on("study", folder, nothing) == LabOptions(LOCAL)


class OnlyThere(OnLab):
    """A kind of testbed with one run on a lab, whose Engine on this machine does not answer."""

    def list(self) -> Mapping[str, Sequence[str]]:
        if self.access is None or self.access.inventory is None:
            raise UnreachableError("no Engine here")
        return {"theirs": ["a device"]}

    def on_lab(self, access: LabAccess) -> OnLab:
        there = OnlyThere()
        there.access = access
        return there


class OnNoLab(OnLab):
    """A kind of testbed that is on this machine alone."""

    traits = FakeTestbed.traits.__class__("processes", "thoughts", "interrupted", FakeTestbed.traits.stages)

    def on_lab(self, access: LabAccess) -> OnLab:
        raise FedsimError("on no lab", Exit.SPEC)


def test_runs_on_labs_are_found_without_an_engine_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    Registry().record("here", tmp_path, "docker", ["local"], "up")
    with pytest.raises(UnreachableError, match="no Engine here"):
        all_runs(testbeds=[OnlyThere()])
    Registry().record("process", tmp_path, "processes", [], "failed")
    Registry().record("mine", tmp_path, "docker", ["lab1"], "up", tmp_path / "ours")
    # Also with keys, which testbeds without labs do not take.
    found = all_runs(LabOptions(keys=LabKeys(private_key=Path("k"))), [OnlyThere(), OnNoLab()])
    assert sorted(found.labs) == ["here", "mine", "process", "theirs"]
    assert found.labs["process"] == LabOptions()
    assert found.unreachable == ("no Engine here",)


def test_a_wrong_user_configuration_is_named_with_its_line(default: Path) -> None:
    path = default.parent / "config.yaml"
    path.write_text("lab: {inventroy: ours}\n", encoding="utf-8")
    with pytest.raises(FedsimError, match=f"{path}:1") as refused:
        choose_lab(OnLab())
    assert refused.value.exit is Exit.SPEC
