"""The rounds of a course from all that is known of them: evaluations, devices' times, costs, clients' results."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedsim_runner.contract.course_state import CourseState

from ..clocks import clocks_of_devices
from ..run_files import read_host_clocks
from . import client_results, cost
from .rounds import OWN, WALL
from .tasks import Step, join_rounds, read_activity
from .time_split import ROUND_FIELDS, Throttled, describe_devices, describe_rounds, split_rounds

if TYPE_CHECKING:
    from ..samples import Samples

# By how much the clocks of lab hosts may differ.
CLOCKS_APART_S = 3600.0


def read_steps(
    run_dir: Path, devices: Mapping[str, Mapping[str, Any]], course: CourseState
) -> Mapping[str, Sequence[Step]]:
    """Return what each participant recorded, on the clock of the server's lab host."""
    clocks = clocks_of_devices(read_host_clocks(run_dir), devices)
    return read_activity(run_dir, list(devices), _server(devices), _span(course), clocks)


def join_facts(
    activity: Mapping[str, Sequence[Step]],
    devices: dict[str, dict[str, Any]],
    course: CourseState,
    rounds: Sequence[dict[str, Any]],
    samples: Mapping[str, Samples],
    total_rounds: int | None,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the table of rounds by device, and ``rounds`` with the facts it adds; also add facts to ``devices``."""
    server = _server(devices)
    ids = {name: entry["client_id"] for name, entry in devices.items() if entry["client_id"] is not None}
    times = join_rounds(activity, server, ids, total_rounds)
    zero = course.began
    zero = times[0].began if zero is None and times else zero or 0.0
    table = split_rounds(times, activity, zero, Throttled(samples))
    for name, facts in describe_devices(table, len(times), ids).items():
        devices[name].update(facts)
    for name, entry in devices.items():
        if name in ids:  # the journal counts all that were dropped, whatever the reason
            dropped = course.late_updates[name] - (entry["unused_updates"] or 0)
            entry["late_updates"] = max(entry["late_updates"] or 0, dropped)
    facts_by_round = describe_rounds(times, activity, server, zero)
    evaluated = {entry["round"]: entry for entry in rounds}
    # A round that was not evaluated counts as well.
    numbers = sorted(set(evaluated) | set(facts_by_round))
    empty: dict[str, None] = {}
    wall = () if course.time_scale.is_real else WALL
    joined = [
        {
            "round": number,
            **{key: evaluated.get(number, empty).get(key) for key in (*OWN, *wall) if key != "round"},
            **dict.fromkeys(ROUND_FIELDS),
            **facts_by_round.get(number, {}),
            **{key: value for key, value in evaluated.get(number, {}).items() if key not in (*OWN, *wall)},
        }
        for number in numbers
    ]
    _add(joined, cost.ROUND_FIELDS, cost.describe_costs(joined, table, activity.get(server or "", ()), zero))
    return table, joined


def add_client_results(
    clients: Sequence[dict[str, Any]], rounds: list[dict[str, Any]], devices: Mapping[str, dict[str, Any]]
) -> dict[str, Any] | None:
    """Add the clients' results to ``devices``, and their spread to ``rounds``; return the spread at the end."""
    metrics = client_results.choose_metrics(clients)
    spread = client_results.describe_spread(clients, metrics)
    _add(rounds, client_results.ROUND_FIELDS, spread)
    for name, facts in client_results.describe_last(clients, metrics).items():
        devices[name].update(facts)
    return client_results.describe_fairness(spread, metrics)


def _add(rounds: Iterable[dict[str, Any]], keys: Sequence[str], facts: Mapping[int, Mapping[str, Any]]) -> None:
    for entry in rounds:
        entry.update(facts.get(entry["round"]) or dict.fromkeys(keys))


def _server(devices: Mapping[str, Mapping[str, Any]]) -> str | None:
    return next((name for name, entry in devices.items() if entry["role"] == "server"), None)


def _span(course: CourseState) -> tuple[float, float]:
    """Return the earliest and the latest time that a participant can have recorded, generously (Unix seconds)."""
    begins = [t for t in (course.loading_began, course.gate_opened, course.began) if t is not None]
    return (
        min(begins, default=-math.inf) - CLOCKS_APART_S,
        (math.inf if course.last_t is None else course.last_t) + CLOCKS_APART_S,
    )
