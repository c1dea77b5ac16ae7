"""One container that times a reference step: started without a limit, given one, and let begin."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event
from typing import Any

from docker.errors import DockerException

from fedsim_runner.compute import timing_program
from fedsim_runner.compute.calibration import Timing, summarise
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


def time_steps(
    client: Any,
    image: str,
    reference: Reference,
    threads: int,
    cpus: float | None,
    seconds: float,
    part_seconds: float = 0.0,
    stop: Event | None = None,
) -> Timing:
    """Time steps for so many seconds, with so many threads, within a quota or without.

    ``part_seconds``: for so long parts are timed before each step, and after the last; ``stop``: ends it early.

    Raises:
        TimingError: the container fails.
    """
    program = f"{step_program(reference)}\n{_program()}"
    command = ["python3", "-c", program, str(seconds), str(threads), str(part_seconds)]
    try:
        with _running(client, image, command, threads) as container:
            stop = stop or Event()
            _wait_until_ready(container, stop)
            if cpus is not None:
                limit = limit_to(cpus, device=container.id)
                container.update(cpu_period=limit.period_us, cpu_quota=limit.quota_us)
            container.kill("SIGUSR1")
            found = json.loads(_wait_for_result(container, stop))
    except (DockerException, OSError, ValueError) as error:
        raise TimingError(f"{reference.name} cannot be timed in {image}: {error}") from error
    return summarise(threads, cpus, [(float(wall), float(used)) for wall, used in found["steps"]], found["part"])


def _program() -> str:
    return (PACKAGE_DIR / "compute" / "timing_program.py").read_text(encoding="utf-8").replace(_FUTURE, "")


# Of two programs in one text it may only stand in the first.
_FUTURE = "from __future__ import annotations\n"


@contextmanager
def _running(client: Any, image: str, command: Sequence[str], threads: int) -> Iterator[Any]:
    container = client.containers.run(
        image,
        list(command),
        environment=thread_variables(threads),
        network_mode="none",
        cap_drop=["ALL"],
        labels={LABEL_CALIBRATION: "1"},
        detach=True,
    )
    try:
        yield container
    finally:
        container.remove(force=True)


def _wait_until_ready(container: Any, stop: Event) -> None:
    """Wait until the program in the container says that it is ready.

    Raises:
        ValueError: it does not; the text says why.
    """
    end = time.monotonic() + READY_WITHIN_S
    while True:
        running = _is_running(container)
        output = container.logs().decode(errors="replace")
        if timing_program.READY in output.splitlines():
            return
        if not running or time.monotonic() > end:
            raise ValueError(_why(container, output))
        if stop.wait(POLL_S):
            raise ValueError("interrupted")


def _wait_for_result(container: Any, stop: Event) -> str:
    """Return the line with the result. The container is looked at seldom: each look has the Engine compute beside it.

    Raises:
        ValueError: there is none; the text says why.
    """
    end = time.monotonic() + timing_program.GIVE_UP_S
    while _is_running(container) and time.monotonic() < end:
        if stop.wait(POLL_WHILE_TIMING_S):
            raise ValueError("interrupted")
    output = container.logs().decode(errors="replace")
    result = next((line for line in output.splitlines() if line.startswith("{")), None)
    if result is None:
        raise ValueError(_why(container, output))
    return str(result)


def _is_running(container: Any) -> bool:
    container.reload()
    return container.status in ("created", "running")


def _why(container: Any, output: str) -> str:
    if container.attrs["State"]["ExitCode"] == ENDED_BY_ALARM:
        return f"it took longer than {timing_program.GIVE_UP_S} s: the lab host is busy with something else"
    return output.strip()[-SHOWN:] or "it says nothing"
