"""A course of three rounds with N devices on this machine: does it finish, who is accused wrongly, what does it cost.

    python -m benchmarks.large_course [N] [--against PATH]

No device is harmed here, so every lost client, failed course or exit code other than 0 is a false verdict. Of each
stage the wall time is shown, and of the report the size of its page and the time of writing it again.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import docker

from fedsim_runner.contract.course_state import CourseState
from fedsim_runner.contract.events import ClientLost, CourseFailed, DeviceExited, Event
from fedsim_runner.contract.paths import REPORT
from fedsim_runner.results import write_report
from fedsim_runner.results.page import PAGE, publish

from .installation import Installation, benchmark_arguments, installations, this_installation
from .journal import events_of
from .light_mix import write_light_mix
from .lowest_memory import LowestMemory, read_available_mb
from .tables import Limit, print_limits, print_table

ROUNDS = 3
PAGE_DRAWN = "of it the page, drawing library loaded, s"


def false_verdicts(events: list[Event]) -> list[str]:
    """Return what the journal says against devices."""
    found = []
    for event in events:
        if isinstance(event, CourseFailed):
            found.append(f"course failed: {event.reason}")
        elif isinstance(event, ClientLost):
            found.append(f"{event.device} lost: {event.reason}")
        elif isinstance(event, DeviceExited) and event.exit_code != 0:
            found.append(f"{event.device} exited with {event.exit_code}")
    return found


def stage_seconds(began: Mapping[str, float], ended: float) -> dict[str, float]:
    """Return how long each stage took; a stage ends when the next one begins, the last one with the command."""
    ends = [*list(began.values())[1:], ended]
    return {stage: end - at for (stage, at), end in zip(began.items(), ends, strict=False)}


def measure(installation: Installation, folder: Path, devices: int) -> dict[str, Any]:
    """Run the course with one installation and return the figures, also if it fails."""
    run = f"bench-large-{devices}"
    spec = write_light_mix(folder, devices, rounds=ROUNDS)
    before, lowest = read_available_mb(), LowestMemory()
    lowest.start()
    command = installation.start([str(spec), "--run", run], folder)
    code = command.finish()
    lowest.over.set()
    run_folder = folder / "runs" / run
    path = run_folder / REPORT
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"status": "no report"}
    events = events_of(folder, run)
    course = CourseState().apply_all(events)
    verdicts = false_verdicts(events)
    for verdict in verdicts[:20]:
        print(f"{installation.title}: {verdict}")
    if code != 0:
        print(command.output)
    first = course.training_began
    began = command.stages().get("course")
    figures: dict[str, Any] = {
        "course": report["status"],
        "exit code": code,
        "rounds": len(report.get("rounds", [])),
        "clients that joined": sum(device.client_id is not None for device in course.devices.values()),
        "false verdicts": len(verdicts),
        "whole command, s": command.seconds,
        **{f"stage {stage}, s": seconds for stage, seconds in stage_seconds(command.stages(), command.ended).items()},
        "course starts to first round, s": None if first is None or began is None else first - began,
        "first round to last evaluation, s": _rounds_s(course),
        "memory of the machine, MB per device": (before - lowest.mb) / devices,
    }
    page = run_folder / PAGE
    if page.exists():
        figures["page, MB"] = page.stat().st_size / 1e6
        figures["report written again, whole command, s"] = installation.run(["report", run], folder)
        if installation == this_installation():
            marks = [time.monotonic()]
            written = write_report(run_folder)
            marks.append(time.monotonic())
            publish(run_folder, written)
            marks.append(time.monotonic())
            figures["of it the tables, s"], figures[PAGE_DRAWN] = (after - at for at, after in pairwise(marks))
    return figures


def _rounds_s(course: CourseState) -> float | None:
    times = [evaluation.t for evaluation in course.evaluations.values() if evaluation.t is not None]
    return max(times) - course.training_began if times and course.training_began is not None else None


def main() -> None:
    """Print one column for each installation."""
    parser = benchmark_arguments(__doc__)
    parser.add_argument("devices", nargs="?", type=int, default=500, metavar="N", help="devices (500)")
    arguments = parser.parse_args()
    compared = installations(arguments)
    docker.from_env(timeout=60).ping()
    seen = []
    for installation in compared:
        with tempfile.TemporaryDirectory(prefix="fedsim-bench-") as name:
            installation.run(["images"], Path(name))
            seen.append(measure(installation, Path(name), arguments.devices))
    names = list(dict.fromkeys(figure for figures in seen for figure in figures))
    rows = [(figure, *(figures.get(figure) for figures in seen)) for figure in names]
    title = f"A course of {ROUNDS} rounds with {arguments.devices} light devices"
    print_table(title, ("figure", *(installation.title for installation in compared)), rows)
    this = seen[0]
    print_limits(
        [
            Limit("false verdicts", this["false verdicts"], 0),
            Limit("page", this.get("page, MB"), 2, " MB"),
            Limit("page drawn", this.get(PAGE_DRAWN), 3, " s"),
        ]
    )


if __name__ == "__main__":
    main()
