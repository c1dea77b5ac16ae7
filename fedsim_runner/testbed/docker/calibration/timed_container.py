"""Containers that time a reference step: started without a limit, given one, and let begin."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import Any

from docker.errors import DockerException

from fedsim_runner.compute import timing_program
from fedsim_runner.compute.references import step_program
from fedsim_runner.compute.references.facts import Reference
from fedsim_runner.content import PACKAGE_DIR
from fedsim_runner.contract.compute_threads import thread_variables
from fedsim_runner.contract.cpu_limit import limit_to
from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.contract.names import LABEL_CALIBRATION

READY_WITHIN_S = 60.0
POLL_S = 0.1
POLL_WHILE_TIMING_S = 0.25
SHOWN = 300
ENDED_BY_ALARM = 128 + signal.SIGALRM


class TimingError(FedsimError):
    """Steps could not be timed on a lab host."""

    exit = Exit.LAB


def remove_left_over(client: Any) -> None:
    """Remove containers of a calibration that was killed."""
    for container in client.containers.list(all=True, filters={"label": LABEL_CALIBRATION, "status": "exited"}):
        container.remove(force=True)


@dataclass(frozen=True)
class Phase:
    """Steps are timed for so many seconds; for ``part_seconds`` parts, before each step and after the last."""

    seconds: float
    part_seconds: float = 0.0


@dataclass(frozen=True)
class TimedSteps:
    """What a phase found.

    Attributes:
        steps: of each the wall-clock and the processor seconds.
        part_cpu_s: the processor seconds of a part; None: none was timed.
    """

    steps: Sequence[tuple[float, float]]
    part_cpu_s: float | None


class TimedContainer:
    """A container that has done a step and waits to time more of them. ``stop``: ends it early."""

    def __init__(self, container: Any, phases: Sequence[Phase], stop: Event) -> None:
        self._container, self._stop = container, stop
        self._phases, self._results = iter(phases), 0

    def wait_until_ready(self) -> None:
        """Wait until the program in it says that it is ready.

        Raises:
            TimingError: it does not; the text says why.
        """
        self._lines_when(lambda lines: timing_program.READY in lines, READY_WITHIN_S, POLL_S)

    def time(self, cpus: float | None) -> TimedSteps:
        """Return what its next phase finds within so many cpus; None: no limit.

        Raises:
            TimingError: it fails, or is stopped.
        """
        with _explained():
            if cpus is not None:
                limit = limit_to(cpus, device=self._container.id)
                self._container.update(cpu_period=limit.period_us, cpu_quota=limit.quota_us)
            self._container.kill("SIGUSR1")
        # Not looked at before: each look has the Engine compute beside it.
        if self._stop.wait(next(self._phases).seconds):
            raise TimingError("interrupted")
        self._results += 1
        lines = self._lines_when(
            lambda lines: len(_results(lines)) == self._results, timing_program.GIVE_UP_S, POLL_WHILE_TIMING_S
        )
        with _explained():
            found = json.loads(_results(lines)[-1])
            return TimedSteps([(float(wall), float(used)) for wall, used in found["steps"]], found["part"])

    def remove(self) -> None:
        """Remove it, whatever it does.

        Raises:
            TimingError: the Engine fails.
        """
        with _explained():
            self._container.remove(force=True)

    def _lines_when(self, met: Callable[[list[str]], bool], within_s: float, poll_s: float) -> list[str]:
        end = time.monotonic() + within_s
        while True:
            with _explained():
                self._container.reload()
                running = self._container.status in ("created", "running")
                output = self._container.logs().decode(errors="replace")
            lines: list[str] = output.splitlines()
            if met(lines):
                return lines
            if not running or time.monotonic() > end:
                raise TimingError(_why(self._container, output))
            if self._stop.wait(poll_s):
                raise TimingError("interrupted")


@contextmanager
def timed_containers(
    client: Any, image: str, reference: Reference, plans: Sequence[tuple[int, Sequence[Phase]]], stop: Event
) -> Iterator[list[TimedContainer]]:
    """Containers that are ready to time the reference, started at once and removed at the end.

    Args:
        plans: of each its threads and its phases.
        stop: ends all of them early.

    Raises:
        TimingError: one does not become ready, or fails within the block.
    """
    made: list[TimedContainer] = []
    try:
        with _explained():
            for threads, phases in plans:
                made.append(TimedContainer(_run(client, image, reference, threads, phases), phases, stop))
        for one in made:
            one.wait_until_ready()
        yield made
    except TimingError as error:
        raise TimingError(f"{reference.name} cannot be timed in {image}: {error}") from error
    finally:
        with ThreadPoolExecutor(len(plans)) as pool:
            list(pool.map(TimedContainer.remove, made))


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (DockerException, OSError, ValueError) as error:
        raise TimingError(str(error)) from error


def _run(client: Any, image: str, reference: Reference, threads: int, phases: Sequence[Phase]) -> Any:
    program = f"{step_program(reference)}\n{_program()}"
    times = [str(seconds) for phase in phases for seconds in (phase.seconds, phase.part_seconds)]
    return client.containers.run(
        image,
        ["python3", "-c", program, str(threads), *times],
        environment=thread_variables(threads),
        network_mode="none",
        cap_drop=["ALL"],
        labels={LABEL_CALIBRATION: "1"},
        detach=True,
    )


def _program() -> str:
    return (PACKAGE_DIR / "compute" / "timing_program.py").read_text(encoding="utf-8").replace(_FUTURE, "")


# Of two programs in one text it may only stand in the first.
_FUTURE = "from __future__ import annotations\n"


def _results(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if line.startswith("{")]


def _why(container: Any, output: str) -> str:
    if container.attrs["State"]["ExitCode"] == ENDED_BY_ALARM:
        return f"it took longer than {timing_program.GIVE_UP_S} s: the lab host is busy with something else"
    return output.strip()[-SHOWN:] or "it says nothing"
