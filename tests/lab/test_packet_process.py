"""The packet process on a real kernel: it runs before what computes, counts what is late, and fills both queues."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.agent.host.cgroup_folders import MOUNTS
from fedsim_runner.agent.processes.scheduling import REAL_TIME
from fedsim_runner.contract.link import Link
from tests.lab.rig import apply, rig, shaped

V1 = MOUNTS[0] / "cpu"
#: Starts the process as the agent does, in whatever cgroup it is given, and prints how it runs.
START = """
import json, os, pathlib, sys
if sys.argv[1]:
    pathlib.Path(sys.argv[1], "cgroup.procs").write_text(str(os.getpid()))
from fedsim_runner.agent.links.userspace.packet_process import PacketProcess
process = PacketProcess()
answer = process.ask({"op": "state"})
pid = process._process.pid
groups = pathlib.Path(f"/proc/{pid}/cgroup").read_text()
limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
print(json.dumps([answer["lateness"]["scheduling"], os.sched_getscheduler(pid), groups, limits]))
process.stop()
"""


@pytest.fixture
def userspace(probed: dict[str, Any]) -> str:
    if not (probed["nfqueue"] and probed["tbf"]):
        pytest.skip("this kernel has no NFQUEUE or no tbf, so no packet process (doctor says what it lacks)")
    return "userspace"


@contextlib.contextmanager
def cpu_group() -> Iterator[Path]:
    """A cpu cgroup without a real-time budget, as a container's is."""
    folder = V1 / f"fedsim-lab-{os.getpid()}"
    folder.mkdir()
    try:
        yield folder
    finally:
        folder.rmdir()


def start(group: str) -> tuple[str, int, str, str]:
    done = subprocess.run(
        [sys.executable, "-c", START, group], check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    scheduling, policy, groups, limits = json.loads(done.stdout)
    return scheduling, policy & ~os.SCHED_RESET_ON_FORK, groups, limits


def test_it_is_a_real_time_process_that_the_kernel_can_end() -> None:
    scheduling, policy, _, limits = start("")
    assert (scheduling, policy) == (REAL_TIME, os.SCHED_FIFO)
    (bound,) = [line.split() for line in limits.splitlines() if line.startswith("Max realtime timeout")]
    assert bound[3:5] == ["5000000", "10000000"]


def test_it_alone_leaves_a_cgroup_without_a_real_time_budget() -> None:
    if not (V1 / "cpu.rt_runtime_us").exists():
        pytest.skip("this kernel budgets no real time by cgroup: nothing refuses it")
    with cpu_group() as group:
        assert (group / "cpu.rt_runtime_us").read_text().strip() == "0"
        scheduling, policy, groups, _ = start(str(group))
        assert (scheduling, policy) == (REAL_TIME, os.SCHED_FIFO)
        assert ":cpu:/\n" in groups or ":cpu,cpuacct:/\n" in groups


def test_it_is_punctual_beside_devices_that_compute(userspace: str, probed: dict[str, Any]) -> None:
    """As many busy cgroups as nice does not count beside: most packets would wait for them."""
    if not V1.exists():
        pytest.skip("cgroups of version 2 are not made here: a test cannot move itself out of its own")
    with (
        rig("a", "b") as lab,
        contextlib.ExitStack() as stack,
        shaped(lab, lab.links(Link(delay_us=20_000)), userspace, probed) as shaper,
    ):
        apply(shaper, lab)
        for number in range(8):
            group = V1 / f"fedsim-lab-{os.getpid()}-{number}"
            group.mkdir()
            stack.callback(group.rmdir)
            loop = subprocess.Popen(["sh", "-c", f"echo $$ > {group}/cgroup.procs; while :; do :; done"])
            stack.callback(_end, loop)
        lab.one_way_s("a", "b", count=60, gap_s=0.0)
        late = shaper.counters()["lateness"]
        assert late["packets"] >= 60 and late["scheduling"] == REAL_TIME
        assert late["late_5ms"] <= 0.1 * late["packets"], late


def _end(loop: subprocess.Popen[bytes]) -> None:
    loop.kill()
    loop.wait()
    time.sleep(0.05)  # until its cgroup is empty


def test_a_process_that_never_waits_is_an_ordinary_one_after_a_while() -> None:
    """The kernel says so after the first limit, and ends the process after the second."""
    script = (
        "import os, time\n"
        "from fedsim_runner.agent.processes import scheduling\n"
        "scheduling._UNBROKEN_US = (200_000, 10_000_000)\n"
        "gained = scheduling.gain_priority()\n"
        "until = time.monotonic() + 20\n"
        "while scheduling.present(gained) == scheduling.REAL_TIME and time.monotonic() < until: pass\n"
        "print(gained, scheduling.present(gained), os.sched_getscheduler(0))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["real-time", "nice", "0"]
    assert resource.getrlimit(resource.RLIMIT_RTTIME)[0] == resource.RLIM_INFINITY
