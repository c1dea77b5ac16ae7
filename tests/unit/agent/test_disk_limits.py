"""What devices use of the disk: counted as it is, bounded, and a device above its limit is ended, whatever it does."""

from __future__ import annotations

import json
import mmap
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.agent import commands
from fedsim_runner.agent.host import disk_limits, disk_usage
from fedsim_runner.agent.host.disk_limits import DiskLimits
from fedsim_runner.agent.host.fleet import Container
from fedsim_runner.agent.host.left_out import LeftOut
from fedsim_runner.agent.host.samples import HEADER, Sampler
from fedsim_runner.contract.paths import StateFolder

from .fake_engine import FakeEngine, begin, journal, open_gate, wait_for
from .links.fake_kernel import FakeKernel

pytestmark = pytest.mark.lengthy

MB = 1 << 20
REASON = "disk: its files take more than its limit of 1.0 MB (disk_mb)"


@pytest.fixture
def device_file(device_file: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    # The devices are threads of the tests, in a cgroup with other programs, which may hold files without a name.
    monkeypatch.setattr(disk_limits, "_processes", lambda container: [])
    for device in device_file["devices"]:
        device["disk_bytes"] = MB
    return device_file


def fill(folder: Path, size: int = 2 * MB) -> None:
    """Write a file, and have the disk know its blocks, which may take them only when it writes them out."""
    with (folder / "filler").open("wb") as stream:
        stream.write(os.urandom(size))
        os.fsync(stream.fileno())


def test_blocks_are_counted_not_lengths(tmp_path: Path) -> None:
    fill(tmp_path)
    used = disk_usage.measure_folder(tmp_path, 1 << 40)
    assert 2 * MB <= used <= 3 * MB
    with (tmp_path / "sparse").open("wb") as stream:
        stream.truncate(1 << 30)
    for number in range(10):
        os.link(tmp_path / "filler", tmp_path / f"name-{number}")
    (tmp_path / "elsewhere").symlink_to("/usr")
    assert used < disk_usage.measure_folder(tmp_path, 1 << 40) <= used + 13 * 8192


def test_a_name_takes_space_too(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / str(number)).touch()
    assert disk_usage.measure_folder(tmp_path, MB) > MB


def test_what_cannot_be_counted_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(disk_usage.DEEPEST):
        folder /= "deep"
    folder.mkdir(parents=True)
    with pytest.raises(disk_usage.TooDeepError):
        disk_usage.measure_folder(tmp_path, 1 << 40)
    folder.rmdir()
    assert disk_usage.measure_folder(tmp_path, 1 << 40) >= (disk_usage.DEEPEST - 1) * 4096
    with pytest.raises(FileNotFoundError):
        disk_usage.measure_folder(tmp_path / "none", MB)


def test_files_without_a_name_count_while_they_are_held(tmp_path: Path) -> None:
    before = disk_usage.measure_nameless([os.getpid()], tmp_path)
    fill(tmp_path)
    stream = (tmp_path / "filler").open("r+b")
    (tmp_path / "filler").unlink()
    assert disk_usage.measure_folder(tmp_path, 1 << 40) == 0
    assert disk_usage.measure_nameless([os.getpid()], tmp_path) >= before + 2 * MB
    mapped = mmap.mmap(stream.fileno(), 2 * MB)
    stream.close()
    held = disk_usage.measure_nameless([os.getpid(), 1 << 30], tmp_path)
    mapped.close()
    assert disk_usage.measure_nameless([os.getpid()], tmp_path) == before
    assert held >= before + 2 * MB or not can_read_mapped_files()


def can_read_mapped_files() -> bool:
    """Whether this process may, as the agent may."""
    files = list(Path("/proc/self/map_files").iterdir())
    try:
        return bool(files[0].stat())
    except OSError:
        return False


def test_the_console_counts_where_the_engine_keeps_it(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "run")
    state.outputs("pi").mkdir(parents=True)
    (tmp_path / "host" / "log").mkdir(parents=True)
    fill(tmp_path / "host" / "log")
    limits = DiskLimits(state, tmp_path / "host")
    container = Container("pi", "id", 0, False, None, False, log_path="/log/filler")
    count(limits, {"pi": container})
    assert limits.over == {"pi": REASON}
    count(limits, {})
    assert limits.over == {}
    limits.close()


def count(limits: DiskLimits, containers: dict[str, Container]) -> None:
    limits._count_by = 0.0
    limits._due.clear()
    limits.check({"pi": MB}, containers)
    wait_for(lambda: not limits._is_counting)


def test_it_is_counted_when_the_disk_fills_and_otherwise_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled, now, counted = [100 * MB], [1000.0], []
    monkeypatch.setattr(disk_usage, "used_of_disk", lambda folder: filled[0])
    monkeypatch.setattr(disk_usage, "measure_folder", lambda folder, most: counted.append("folder") or 0)
    monkeypatch.setattr(disk_usage, "measure_nameless", lambda pids, folder: counted.append("nameless") or 0)
    limits = DiskLimits(StateFolder(tmp_path), clock=lambda: now[0])
    containers = {"pi": Container("pi", "id", os.getpid(), False, None, False)}

    def after(seconds: float, grown: int) -> list[str]:
        now[0], filled[0] = now[0] + seconds, filled[0] + grown
        counted.clear()
        limits.check({"pi": MB}, containers)
        wait_for(lambda: not limits._is_counting)
        return list(counted)

    assert after(0, 0) == ["folder", "nameless"]
    assert after(1, 0) == []
    assert after(1, 9 * MB) == ["folder"]
    assert after(1, 60 * MB) == ["folder", "nameless"]
    assert after(1, -100 * MB) == [], "others freed space, which hides nothing from now on"
    assert after(1, 9 * MB) == ["folder"]
    assert after(4, 0) == []
    assert after(1, 0) == ["folder"]
    limits.close()


def test_a_device_with_very_many_files_is_counted_less_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, counted = [1000.0], []

    def measure(folder: Path, most: int) -> int:
        now[0] += 2.0 if folder.parent.name == "many" else 0.0
        counted.append(folder.parent.name)
        return 0

    monkeypatch.setattr(disk_usage, "measure_folder", measure)
    limits = DiskLimits(StateFolder(tmp_path), clock=lambda: now[0])
    for _ in range(5):
        limits._count_by = 0.0
        limits.check({"many": MB, "few": MB}, {})
        wait_for(lambda: not limits._is_counting)
        now[0] += 3.0
    assert counted.count("few") == 5 and counted.count("many") == 2
    limits.close()


def end_of(agent: Any, state: StateFolder, kind: str) -> dict[str, Any]:
    """Have the agent look at the disk until the journal has such an event."""

    def found() -> list[dict[str, Any]]:
        agent._sampling._next_s = 0.0
        agent._sampling._disk._count_by = 0.0
        agent.tick()
        return [event for event in journal(state) if event["event"] == kind]

    wait_for(lambda: bool(found()))
    return found()[0]


@pytest.mark.parametrize(("policy", "kind"), [("abort", "course_failed"), ("continue", "client_lost")])
def test_a_client_above_its_limit_is_ended_with_the_reason_disk(
    kernel: FakeKernel, state: StateFolder, engine: FakeEngine, device_file: dict[str, Any], policy: str, kind: str
) -> None:
    device_file["course"]["on_client_failure"] = policy
    state.device_file.write_text(json.dumps(device_file))
    agent = begin(state, engine)
    commands.answer(agent, "links-apply", {})
    open_gate(agent, state, engine)
    fill(state.outputs("raspberry-pi"))
    event = end_of(agent, state, kind)
    assert (event["device"], event["reason"]) == ("raspberry-pi", REASON)
    wait_for(lambda: ("id-raspberry-pi", "KILL") in engine.killed)
    assert {identity for identity, signal in engine.killed if signal == "KILL"} == {"id-raspberry-pi"}
    agent.close()


def test_a_device_that_was_ended_before_the_course_has_that_reason(
    kernel: FakeKernel, state: StateFolder, engine: FakeEngine
) -> None:
    agent = begin(state, engine)
    commands.answer(agent, "links-apply", {})
    fill(state.outputs("raspberry-pi"))

    def killed() -> bool:
        agent._sampling._next_s = agent._sampling._disk._count_by = 0.0
        agent.tick()
        return ("id-raspberry-pi", "KILL") in engine.killed

    wait_for(killed)
    agent.docker_event(engine.end("raspberry-pi", 137))
    commands.answer(agent, "gate-open", {})
    failed = next(event for event in journal(state) if event["event"] == "course_failed")
    assert (failed["device"], failed["reason"]) == ("raspberry-pi", REASON)
    agent.close()


@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
def test_samples_get_rarer_as_their_file_gets_larger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    part = 20_000
    monkeypatch.setattr("fedsim_runner.agent.host.samples.PART_BYTES", part)
    path = tmp_path / "metrics.csv"
    if large:  # an agent that was restarted goes on as the one before it
        path.write_text(f"{HEADER}\n".ljust(4 * part, "\n"))
    sampler = Sampler(path, LeftOut(tmp_path / "not_counted.json"), lambda text: ["0"] * 6)
    sampler._lines = [f",pi-{number},{'1' * 40}\n" for number in range(10)]
    before = path.stat().st_size
    for second in range(3600):
        sampler.write(1_700_000_000.0 + second + (0.3 if second % 2 else 0.0))
    sampler.close()
    times = [float(line.split(",")[0]) for line in path.read_text().splitlines() if ",pi-0," in line]
    gaps = [round(later - earlier) for earlier, later in pairwise(times)]
    assert gaps == sorted(gaps) and len(times) < 400
    assert gaps[0] == (16 if large else 1) and gaps[-1] >= (16 if large else 64)
    assert path.stat().st_size - before < 7 * part + 5000
