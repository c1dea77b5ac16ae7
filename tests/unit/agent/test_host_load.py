"""Samples of the lab host's own load."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedsim_runner.agent.host import host_load
from fedsim_runner.agent.host.host_load import HEADER, HostLoad


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(host_load.os, "sysconf", {"SC_NPROCESSORS_ONLN": 2, "SC_CLK_TCK": 100}.__getitem__)
    folder = tmp_path / "proc"
    folder.mkdir()
    (folder / "loadavg").write_text("1.25 0.50 0.10 3/456 7890\n", encoding="ascii")
    (folder / "stat").write_text("cpu  100 20 30 9999 77 4 6 50 0 0\ncpu0 1 2 3\nintr 5\n", encoding="ascii")
    return folder


def test_a_line_has_what_the_kernel_says(tmp_path: Path, proc: Path) -> None:
    load = HostLoad(tmp_path / "host.csv", proc)
    load.write(1000.0)
    load.write(1000.2)  # too early
    load.close()
    lines = (tmp_path / "host.csv").read_text(encoding="utf-8").splitlines()
    # user, nice, system and interrupts are busy; idle and waiting for disks are not; 50 ticks were stolen.
    assert lines == [HEADER, "1000.000,2,1.25,3,1.60,0.50,"]


def test_what_the_agent_uses_itself_is_known_in_a_container(
    tmp_path: Path, proc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("a" * 64)
    folder.mkdir()
    for controller, file, text in (
        ("", "cpu.stat", "usage_usec 2500000\nuser_usec 1\n"),
        ("cpuacct", "cpuacct.usage", "2500000000\n"),
    ):
        (folder / file).write_text(text, encoding="ascii")
        monkeypatch.setattr(host_load, "cgroup_folders", lambda *_, name=controller: {name: folder})
        load = HostLoad(tmp_path / f"{file}.csv", proc)
        load.write(1000.0)
        load.close()
        assert (tmp_path / f"{file}.csv").read_text(encoding="utf-8").endswith(",1.60,0.50,2.500\n")


def test_an_agent_that_was_restarted_goes_on(tmp_path: Path, proc: Path) -> None:
    for moment in (1000.0, 1001.0):
        load = HostLoad(tmp_path / "host.csv", proc)
        load.write(moment)
        load.close()
    assert (tmp_path / "host.csv").read_text(encoding="utf-8").count("\n") == 3


@pytest.mark.parametrize("content", ["", "cpu\n", "cpu a b c\n", "cpu  1 2 3\n"])
def test_a_kernel_without_figures_costs_the_line(tmp_path: Path, proc: Path, content: str) -> None:
    (proc / "stat").write_text(content, encoding="ascii")
    load = HostLoad(tmp_path / "host.csv", proc)
    load.write(1000.0)
    (proc / "stat").unlink()
    load.write(1002.0)
    load.close()
    assert (tmp_path / "host.csv").read_text(encoding="utf-8") == f"{HEADER}\n"
