"""Freezing devices by their cgroups' files: all of them before the first is waited for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fedsim_runner.agent.host.cgroup_folders import V2
from fedsim_runner.agent.host.fleet import Container
from fedsim_runner.agent.timeline import devices
from fedsim_runner.agent.timeline.devices import Devices


class Engine:
    def kill(self, container: str, signal_name: str) -> None:
        raise AssertionError(container)

    def restart(self, container: str) -> None:
        raise AssertionError(container)


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def container(name: str, pid: int) -> Container:
    return Container(name, f"id-{name}", pid, paused=False, exit_code=None, oom_killed=False)


@pytest.mark.parametrize(
    ("controller", "file", "frozen", "thawed"),
    [("freezer", "freezer.state", "FROZEN", "THAWED"), (V2, "cgroup.freeze", "1", "0")],
    ids=["v1", "v2"],
)
def test_devices_are_frozen_together_and_go_on(
    controller: str, file: str, frozen: str, thawed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []

    def folders(pid: int, container: str, mounts: object) -> dict[str, Path]:
        looked.append(pid)
        return {controller: tmp_path / str(pid)}

    monkeypatch.setattr(devices, "cgroup_folders", folders)
    for pid in (1, 2):
        (tmp_path / str(pid)).mkdir()
    known = {"a": container("a", 1), "b": container("b", 2), "c": container("c", 0)}
    made = Devices(Engine(), known)
    made.look_up(known)
    assert made.freeze(["a", "b", "c"], True) == {"c": "c is not running"}
    assert looked == [1, 2], "where they are was known before"
    assert [(tmp_path / pid / file).read_text() for pid in "12"] == [frozen, frozen]
    assert made.frozen(["a", "b"], True) == dict.fromkeys("ab", f"{file} {frozen}")
    assert made.freeze(["a", "b"], False) == {}
    assert made.frozen(["a"], False) == {"a": f"{file} {thawed}"}
    # One that is started anew has another cgroup.
    (tmp_path / "3").mkdir()
    known["a"] = container("a", 3)
    assert made.freeze(["a"], True) == {} and (tmp_path / "3" / file).read_text() == frozen


def test_those_that_take_long_have_a_moment_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "cgroup_folders", lambda *_: {"freezer": tmp_path})
    clock = Clock()
    monkeypatch.setattr(devices, "time", clock)
    made = Devices(Engine(), {name: container(name, os.getpid()) for name in "abc"})
    made.freeze("abc", True)
    (tmp_path / "freezer.state").write_text("FREEZING")
    assert made.frozen("abc", True) == dict.fromkeys("abc", "freezer.state FREEZING")
    assert clock.now < 0.03


def test_a_cgroup_without_a_freezer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "cgroup_folders", lambda *_: {})
    made = Devices(Engine(), {"a": container("a", 1)})
    assert made.freeze(["a"], True) == {"a": "the cgroup of a has no freezer"}
