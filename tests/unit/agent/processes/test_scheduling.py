"""The packet process runs before others where a lab host allows that, and never takes a processor from it."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from fedsim_runner.agent.processes import scheduling
from fedsim_runner.agent.processes.scheduling import NICE, REAL_TIME, WEIGHT, Rest, gain_priority
from fedsim_runner.agent.timeline import priority


def test_it_rests_whatever_there_is_to_do() -> None:
    rest, now, worked = Rest(0.06), 100.0, 0.0
    rest.due_s(now)
    while now < 110.0:
        now += 0.002  # of work without a wait
        worked += 0.002
        now += rest.due_s(now)
    assert 0.90 < worked / 10.0 < 0.95  # below the kernel's throttle, which would stop it for 50 ms


def test_what_it_waited_for_packets_counts_as_rest() -> None:
    rest, now = Rest(0.06), 100.0
    rest.due_s(now)
    for _ in range(1000):
        now += 0.010
        rest.waited(0.001)
        assert rest.due_s(now) == 0.0


@pytest.mark.parametrize(
    ("runtime", "period", "cpus", "share"),
    [
        ("950000", "1000000", 2, 0.06),
        ("500000", "1000000", 2, 0.51),
        ("-1", "1000000", 2, 0.06),
        ("", "", 2, 0.06),
        ("950000", "1000000", 1, 0.3),
    ],
)
def test_it_rests_more_than_the_kernel_asks_for(
    runtime: str, period: str, cpus: int, share: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cpus)
    for name, text in (("_KERNEL_RUNTIME", runtime), ("_KERNEL_PERIOD", period)):
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(scheduling, name, tmp_path / name)
    assert scheduling.least_rest() == pytest.approx(share)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Path, list[str]]]:
    """A lab host's cgroups, and a kernel that allows real time nowhere, in the root group, or everywhere."""

    def make(version: int, real_time: str, niceness: bool = True) -> tuple[Path, list[str]]:
        root = tmp_path / "cpu" if version == 1 else tmp_path
        own = root / "docker" / "agent"
        own.mkdir(parents=True)
        (root / "cgroup.procs").touch()
        names = ("cpu.shares",) if version == 1 else ("cpu.weight", "memory.current")
        for name in (*names, "cgroup.procs"):
            (own / name).touch()
        if version == 1:
            (root / "cpu.shares").touch()
        calls: list[str] = []

        def set_scheduler(pid: int, policy: int, param: os.sched_param) -> None:
            moved = (root / "cgroup.procs").read_text() == str(os.getpid())
            if real_time != "everywhere" and not (real_time == "root" and moved):
                raise PermissionError("no budget")
            assert policy == os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
            assert param.sched_priority > priority.PREPARES > priority.LOOKS >= 1
            calls.append("real time")

        def set_priority(which: int, who: int, priority: int) -> None:
            if not niceness:
                raise PermissionError("no CAP_SYS_NICE")

        monkeypatch.setattr(os, "setpriority", set_priority)
        monkeypatch.setattr(os, "sched_setscheduler", set_scheduler)
        monkeypatch.setattr(scheduling.signal, "signal", lambda number, handler: None)
        monkeypatch.setattr(resource, "setrlimit", lambda kind, limits: calls.append(f"limit {kind}"))
        folders = {"cpu" if version == 1 else "": own}
        monkeypatch.setattr(scheduling, "cgroup_folders", lambda *arguments: folders)
        return tmp_path, calls

    return make


MEMORY = f"limit {resource.RLIMIT_DATA}"


@pytest.mark.parametrize("version", [1, 2])
def test_where_real_time_is_allowed_it_stays_in_its_cgroup(
    version: int, host: Callable[..., tuple[Path, list[str]]]
) -> None:
    mount, calls = host(version, "everywhere")
    assert gain_priority([mount]) == REAL_TIME
    # The kernel's own limit of unbroken work comes first.
    assert calls == [f"limit {resource.RLIMIT_RTTIME}", "real time"]
    assert (mount / ("cpu" if version == 1 else "") / "cgroup.procs").read_text() == ""


@pytest.mark.parametrize("version", [1, 2])
def test_else_it_moves_to_the_root_and_keeps_a_limit_of_its_memory(
    version: int, host: Callable[..., tuple[Path, list[str]]]
) -> None:
    mount, calls = host(version, "root")
    assert gain_priority([mount]) == REAL_TIME and calls[-1] == "real time"
    # With cgroup v1 the container's own limit of memory remains: that is another hierarchy.
    assert (MEMORY in calls) == (version == 2)


@pytest.mark.parametrize(("version", "weight"), [(1, ("cpu.shares", "262144")), (2, ("cpu.weight", "10000"))])
def test_where_nothing_may_be_moved_its_container_gets_the_largest_weight(
    version: int, weight: tuple[str, str], host: Callable[..., tuple[Path, list[str]]]
) -> None:
    mount, calls = host(version, "root", niceness=False)
    assert gain_priority([mount]) == WEIGHT and "real time" not in calls
    own = mount / ("cpu" if version == 1 else "") / "docker" / "agent"
    assert (own / weight[0]).read_text() == weight[1]


def test_without_any_right_there_is_nice_alone(
    host: Callable[..., tuple[Path, list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    mount, _ = host(1, "nowhere", niceness=False)
    monkeypatch.setattr(scheduling, "cgroup_folders", lambda *arguments: {})
    assert gain_priority([mount]) == NICE


def test_it_says_when_it_runs_in_real_time_no_longer() -> None:
    assert scheduling.present(REAL_TIME) == NICE  # this process is an ordinary one
    assert scheduling.present(WEIGHT) == WEIGHT
