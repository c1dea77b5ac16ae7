"""Lifting CPU limits through cgroup files of both versions, which the test has made."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from fedsim_runner.agent.host import cpu_lift
from fedsim_runner.agent.host.cgroup_folders import V2
from fedsim_runner.agent.host.cpu_lift import CpuLift
from fedsim_runner.contract.cpu_limit import CpuLimit

PID, ID = os.getpid(), "0123abcd"


@dataclass(frozen=True)
class Version:
    """A version of cgroups: the name of the folder's controller, and its files."""

    controller: str
    limit: str
    weight: str
    files: dict[str, str]
    lifted: tuple[str, str]


V1 = {"cpu.cfs_period_us": "50000", "cpu.cfs_quota_us": "2500", "cpu.shares": "1024"}
VERSIONS = [
    Version("cpu", "cpu.cfs_quota_us", "cpu.shares", V1, ("-1", "128")),
    Version(V2, "cpu.max", "cpu.weight", {"cpu.max": "2500 50000", "cpu.weight": "39"}, ("max", "5")),
]


class Group:
    """The cgroup of a container."""

    def __init__(self, version: Version, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder.mkdir()
        for name, content in version.files.items():
            (folder / name).write_text(content + "\n")
        monkeypatch.setattr(cpu_lift, "cgroup_folders", lambda *_: {version.controller: folder})
        self.limit, self.weight = folder / version.limit, folder / version.weight

    def read(self) -> tuple[str, str]:
        return self.limit.read_text().strip(), self.weight.read_text().strip()


@pytest.fixture(params=VERSIONS, ids=["v1", "v2"])
def version(request: pytest.FixtureRequest) -> Version:
    assert isinstance(request.param, Version)
    return request.param


@pytest.fixture
def group(version: Version, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Group:
    return Group(version, tmp_path / f"docker-{ID}.scope", monkeypatch)


def test_what_was_in_force_is_put_back(group: Group, version: Version) -> None:
    before = group.read()
    lift = CpuLift({"pi": 0.02})  # somebody has changed the limit since the device was made
    assert lift.lift("pi", PID, ID) is None
    assert group.read() == version.lifted
    assert lift.restore("pi", PID, ID) is None
    assert group.read() == before


def test_another_agent_restores_what_the_type_says(group: Group, version: Version) -> None:
    before = group.read()
    assert CpuLift({"pi": 0.05}).lift("pi", PID, ID) is None
    if version.controller == V2:
        group.limit.write_text("max 50000\n")  # as the kernel shows it
    assert CpuLift({"pi": 0.05}).restore("pi", PID, ID) is None
    assert group.read() == before


def test_a_limit_that_does_not_stay_in_force_is_named(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    lift = CpuLift({"pi": 0.05})
    lift.lift("pi", PID, ID)
    monkeypatch.setattr(Path, "write_text", lambda *_: 0)
    reason = lift.restore("pi", PID, ID)
    assert reason is not None and reason.startswith(f"{group.limit} has ")


def test_why_a_limit_cannot_be_lifted(group: Group) -> None:
    group.limit.unlink()
    assert CpuLift({"pi": 0.05}).lift("pi", PID, ID) == f"{group.limit}: No such file or directory"


def test_only_the_cgroup_of_the_container_itself_is_written(group: Group) -> None:
    before = group.read()
    lift = CpuLift({"pi": 0.05})
    assert lift.lift("pi", PID, "4567ef") == "its cgroup was not found"
    assert lift.restore("pi", PID, "4567ef") is None, "it was never lifted"
    assert group.read() == before


def test_without_a_limit_nothing_is_done(group: Group) -> None:
    before = group.read()
    lift = CpuLift({})
    assert (lift.lift("pi", PID, ID), lift.restore("pi", PID, ID), group.read()) == (None, None, before)


def test_a_limit_is_changed_with_its_period(group: Group, version: Version) -> None:
    lift = CpuLift({})
    assert lift.change(PID, ID, CpuLimit(2_750, 50_000))
    assert lift.change(PID, ID, CpuLimit(1_100, 22_000))
    assert not lift.change(PID, ID, CpuLimit(1_100, 22_000)), "it is in force already"
    period = group.limit.with_name("cpu.cfs_period_us")
    in_force = group.read()[0] if version.controller == V2 else f"{group.read()[0]} {period.read_text().strip()}"
    assert in_force == "1100 22000"


def test_a_limit_that_cannot_be_changed_is_an_error_while_the_container_runs(group: Group) -> None:
    with pytest.raises(FileNotFoundError):
        CpuLift({}).change(PID, "4567ef", CpuLimit(1_100, 22_000))
    group.limit.unlink()
    with pytest.raises(FileNotFoundError, match=group.limit.name):
        CpuLift({}).change(PID, ID, CpuLimit(1_100, 22_000))
    assert not CpuLift({}).change(2**22 + 1, ID, CpuLimit(1_100, 22_000))


def test_a_container_that_has_ended_has_no_limit_to_restore(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    lift = CpuLift({"pi": 0.05})
    lift.lift("pi", PID, ID)
    monkeypatch.setattr(cpu_lift, "cgroup_folders", lambda *_: {})
    assert lift.restore("pi", 2**22 + 1, ID) is None
