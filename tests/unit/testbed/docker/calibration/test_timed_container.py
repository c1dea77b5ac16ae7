"""Containers that time steps, at an Engine that only pretends to run one."""

from __future__ import annotations

import json
from threading import Event
from typing import Any

import pytest

from fedsim_runner.compute.references import REFERENCES
from fedsim_runner.compute.timing_program import READY
from fedsim_runner.contract.cpu_limit import limit_to
from fedsim_runner.testbed.docker.calibration.timed_container import Phase, TimingError, timed_containers

STEPS = [[0.4, 0.1], [0.4, 0.1], [0.4, 0.1]]
PART_S = 0.004


class FakeContainer:
    """Says that it is ready, and has timed steps once it was told to begin; or ends with a code before that."""

    id = "0123456789ab"

    def __init__(self, ends_with: int | None = None) -> None:
        self.ends_with = ends_with
        self.output = "" if ends_with else READY + "\n"
        self.status = "running" if ends_with is None else "exited"
        self.attrs = {"State": {"ExitCode": ends_with or 0}}
        self.calls: list[str] = []

    def reload(self) -> None:
        pass

    def logs(self) -> bytes:
        return self.output.encode()

    def update(self, cpu_period: int, cpu_quota: int) -> None:
        self.calls.append(f"limit {cpu_quota} of {cpu_period}")

    def kill(self, signal: str) -> None:
        self.calls.append(signal)
        self.output += json.dumps({"steps": STEPS, "part": PART_S}) + "\n"

    def remove(self, force: bool) -> None:
        self.calls.append("remove")


class FakeClient:
    """Runs the one container."""

    def __init__(self, container: FakeContainer) -> None:
        self.container = container
        self.command: list[str] = []
        self.containers = self

    def run(self, image: str, command: list[str], **options: Any) -> FakeContainer:
        assert options["network_mode"] == "none"
        self.command = command
        return self.container


def plans(*phases: Phase, threads: int = 1) -> list[tuple[int, list[Phase]]]:
    return [(threads, list(phases))]


@pytest.mark.parametrize("reference", REFERENCES.values(), ids=list(REFERENCES))
def test_a_container_is_limited_before_it_begins_and_removed_afterwards(reference: Any) -> None:
    container = FakeContainer()
    client = FakeClient(container)
    with timed_containers(client, "fedsim/engine:1", reference, plans(Phase(0.0, 2.0)), Event()) as [timed]:
        found = timed.time(0.25)
    limit = limit_to(0.25, device=container.id)  # a period of its own, as devices have
    assert container.calls == [f"limit {limit.quota_us} of {limit.period_us}", "SIGUSR1", "remove"]
    assert (found.steps, found.part_cpu_s) == ([tuple(step) for step in STEPS], PART_S)
    assert client.command[-3:] == ["1", "0.0", "2.0"]
    compile(client.command[2], reference.name, "exec")  # two programs as one


def test_one_container_times_without_a_quota_and_then_within_one() -> None:
    container = FakeContainer()
    client = FakeClient(container)
    asked = plans(Phase(0.0, 0.5), Phase(0.01))
    with timed_containers(client, "fedsim/engine:1", REFERENCES["numpy-mlp"], asked, Event()) as [timed]:
        assert [len(timed.time(cpus).steps) for cpus in (None, 0.5)] == [3, 3]
    assert [call.split()[0] for call in container.calls] == ["SIGUSR1", "limit", "SIGUSR1", "remove"]
    assert client.command[-5:] == ["1", "0.0", "0.5", "0.01", "0.0"]


@pytest.mark.parametrize(("code", "reason"), [(1, "it says nothing"), (142, "it took longer than 90 s")])
def test_a_container_that_ends_early_is_removed_and_says_why(code: int, reason: str) -> None:
    container = FakeContainer(ends_with=code)
    client = FakeClient(container)
    with (
        pytest.raises(TimingError, match=f"numpy-mlp cannot be timed in fedsim/engine:1: {reason}"),
        timed_containers(client, "fedsim/engine:1", REFERENCES["numpy-mlp"], plans(Phase(0.0)), Event()),
    ):
        pytest.fail("it was ready")
    assert container.calls == ["remove"]


def test_an_interrupt_ends_it_at_once_and_removes_the_container() -> None:
    container, stop = FakeContainer(), Event()
    container.output = "still loading\n"
    stop.set()
    with (
        pytest.raises(TimingError, match="interrupted"),
        timed_containers(FakeClient(container), "x", REFERENCES["numpy-mlp"], plans(Phase(0.0)), stop),
    ):
        pytest.fail("it was ready")
    assert container.calls == ["remove"]


def test_an_interrupt_does_not_wait_until_everything_is_timed() -> None:
    container, stop = FakeContainer(), Event()
    with (
        pytest.raises(TimingError, match="interrupted"),
        timed_containers(FakeClient(container), "x", REFERENCES["numpy-mlp"], plans(Phase(3600.0)), stop) as [timed],
    ):
        stop.set()
        timed.time(None)
    assert container.calls == ["SIGUSR1", "remove"]
