"""The activity that the participants recorded (``activity.jsonl``), joined into the tasks of the course.

A task is one model that the server sent to one client, and what followed: when the model had arrived, when
training began and ended, when the update was sent and when the server had it. All times are Unix seconds of one clock,
in a dilated run of device time.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from heapq import nsmallest
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal

from fedsim_runner.contract.lenient import number, whole
from fedsim_runner.contract.paths import COLLECTED

from ..clocks import RIGHT, HostClock

ACTIVITY = "activity.jsonl"
# A participant may write anything: of all lines that a run's clients wrote, so many are read, and none that is longer.
MOST_STEPS = 4_000_000
LEAST_STEPS = 20_000  # of each client
LONGEST_LINE = 1000
MOST_PROCESSES = 1000  # of one participant
LARGEST_NUMBER = 10**15
MODEL = "model_para"  # FederatedScope's type for messages that carry a model, in both directions
# What became of an update. used: an aggregation took it. late: it came after the end of its round and was dropped.
# unused: it arrived, and no aggregation took it. none: it did not arrive.
Fate = Literal["used", "late", "unused", "none"]


@dataclass(frozen=True, slots=True)
class Step:
    """One line of an activity file. ``round`` counts from 0, as FederatedScope does.

    ``cpu``: at the end of a step of work, processor seconds that it took; None where none were recorded.
    """

    t: float
    what: str
    kind: str | None
    round: int | None
    peer: int | None
    size: int | None
    staleness: int | None = None
    cpu: float | None = None


@dataclass
class Task:
    """One model sent to one client. What did not happen, or was not recorded, is None.

    ``staleness``: rounds that were aggregated between the sending of the model and the aggregation that took the
    update, or its arrival if none took it; ``aggregation``: the round (from 0) whose aggregation took it.
    """

    device: str
    round: int  # from 0
    sent: float | None = None
    arrived: float | None = None
    train: float | None = None
    trained: float | None = None
    answered: float | None = None
    delivered: float | None = None
    model_bytes: int | None = None
    update_bytes: int | None = None
    update: Fate = "none"
    staleness: int | None = None

    @property
    def aggregation(self) -> int | None:
        return self.round + (self.staleness or 0) if self.update == "used" else None


@dataclass
class RoundTimes:
    """One round as the server saw it."""

    number: int  # from 0
    began: float  # the first model was sent
    aggregate: float | None = None
    aggregated: float | None = None
    tasks: list[Task] = field(default_factory=list)
    used: list[Task] = field(default_factory=list)  # whose updates its aggregation took, also of earlier rounds

    @property
    def ended(self) -> float | None:
        """When the last update that counts had arrived and aggregation began."""
        if self.aggregate is not None:
            return self.aggregate
        arrivals = [task.delivered for task in self.tasks if task.delivered is not None and task.update != "late"]
        return max(arrivals, default=None)


def read_activity(
    run_dir: Path,
    devices: Sequence[str],
    server: str | None,
    span: tuple[float, float],
    clocks: Mapping[str, HostClock],
) -> dict[str, list[Step]]:
    """Return the steps of every device that recorded any, in order of time.

    Args:
        devices: their names.
        server: the name of the server, of which all lines are read.
        span: earliest and latest time that a step can have (Unix seconds); others are left out.
        clocks: those by which devices recorded; of others they need no correction.
    """
    found = {}
    each = max(LEAST_STEPS, MOST_STEPS // max(1, len(devices)))
    for device in devices:
        files = _activity_files(run_dir / COLLECTED / device / "course")
        read = _read(chain.from_iterable(map(_lines, files)), None if device == server else each)
        clock = clocks.get(device, RIGHT)
        if clock.corrects:
            read = (replace(step, t=clock.correct(step.t)) for step in read)
        steps = sorted((step for step in read if span[0] <= step.t <= span[1]), key=lambda step: step.t)
        if steps:
            found[device] = steps
    return found


def join_rounds(
    activity: Mapping[str, Sequence[Step]],
    server: str | None,
    client_ids: Mapping[str, int],
    total_rounds: int | None = None,
) -> list[RoundTimes]:
    """Return the rounds with their tasks; empty if the server recorded nothing.

    Args:
        server: name of the server's device.
        client_ids: FederatedScope's id of each client's device.
        total_rounds: of the course; a server of an earlier version may send models after the last one.
    """
    steps = activity.get(server or "", ())
    devices = {identity: name for name, identity in client_ids.items()}
    rounds = {key: one for key, one in _rounds(steps).items() if total_rounds is None or key < total_rounds}
    # Servers of earlier versions did not record which updates they used: then all that arrived for a round count.
    accounted = any(step.what == "used" for step in steps)
    by_client: dict[int, list[Step]] = defaultdict(list)
    for step in steps:
        if step.peer in devices:
            by_client[step.peer].append(step)
    for identity, device in sorted(devices.items()):
        for task in _tasks(device, by_client[identity], activity.get(device, ())):
            if task.round not in rounds:
                continue
            entry = rounds[task.round]
            entry.tasks.append(task)
            if not accounted and task.update == "unused" and entry.aggregate is not None:
                task.update = "used"
            taken_in = task.aggregation
            if taken_in is not None and taken_in in rounds:
                rounds[taken_in].used.append(task)
    return [rounds[key] for key in sorted(rounds)]


def _activity_files(course: Path) -> Iterator[Path]:
    """Where a participant recorded: a process that was started again has a folder of its own in that of the first."""
    yield course / ACTIVITY
    for folder in nsmallest(MOST_PROCESSES, course.glob("sub_exp_*")):
        yield folder / ACTIVITY


def _lines(path: Path) -> Iterator[bytes]:
    try:
        stream = path.open("rb")
    except OSError:
        return
    with stream:
        # What is longer than a line may be is read in pieces, none of which is valid.
        yield from iter(partial(stream.readline, LONGEST_LINE), b"")


def _read(lines: Iterable[bytes], most: int | None) -> Iterator[Step]:
    for line in islice(lines, most):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue  # cut short by a crash or a full disk
        step = _step(entry) if isinstance(entry, dict) else None
        if step is not None:
            yield step


def _step(entry: dict[str, Any]) -> Step | None:
    moment, what, kind = number(entry.get("t")), entry.get("what"), entry.get("kind")
    if moment is None or not isinstance(what, str):
        return None
    cpu = number(entry.get("cpu"))
    return Step(
        moment,
        what,
        kind if isinstance(kind, str) else None,
        _whole(entry.get("round")),
        _whole(entry.get("peer")),
        _whole(entry.get("bytes")),
        _whole(entry.get("staleness")),
        cpu if cpu is not None and 0 <= cpu <= LARGEST_NUMBER else None,
    )


def _whole(value: object) -> int | None:
    found = whole(value)
    return found if found is not None and abs(found) <= LARGEST_NUMBER else None


def _rounds(steps: Sequence[Step]) -> dict[int, RoundTimes]:
    found: dict[int, RoundTimes] = {}
    for step in steps:
        if step.round is None:
            continue
        if step.what == "send" and step.kind == MODEL:
            found.setdefault(step.round, RoundTimes(step.round, step.t))
        elif step.round in found and step.what == "aggregate":
            found[step.round].aggregate = step.t
        elif step.round in found and step.what == "aggregated":
            found[step.round].aggregated = step.t
    return found


def _tasks(device: str, server: Sequence[Step], client: Sequence[Step]) -> list[Task]:
    """Join steps by round; if a round has several tasks (asynchronous, a second try), each takes the next steps.

    Args:
        server: what the server recorded of this client.
    """
    sent, delivered = _queues(server, "send"), _queues(server, "received")
    fates = _fates(server)
    arrived, answered = _queues(client, "received"), _queues(client, "send")
    train, trained = _queues(client, "train", None), _queues(client, "trained", None)
    tasks = []
    for key in sorted(sent):
        # What follows the next model of the same round belongs to that one.
        ends = [step.t for step in islice(sent[key], 1, None)] + [math.inf]
        for begin, until in zip(sent[key], ends, strict=True):
            task = Task(device, key, sent=begin.t, model_bytes=begin.size)
            if (step := _next(arrived[key], begin.t, until)) is not None:
                task.arrived, task.model_bytes = step.t, step.size if step.size is not None else task.model_bytes
                task.train = _moment(_next(train[key], step.t, until))
            if task.train is not None:
                task.trained = _moment(_next(trained[key], task.train, until))
            if task.trained is not None and (step := _next(answered[key], task.trained, until)) is not None:
                task.answered, task.update_bytes = step.t, step.size
            since = task.answered if task.answered is not None else begin.t
            if (step := _next(delivered[key], since, until)) is not None:
                task.delivered, task.update = step.t, "unused"
                task.update_bytes = step.size if step.size is not None else task.update_bytes
            if (step := _next_fate(fates[key], task, since, until)) is not None:
                task.update, task.staleness = _fate(step.what), step.staleness
                task.delivered = step.t if task.delivered is None else task.delivered
            tasks.append(task)
    return tasks


def _next_fate(fates: deque[Step], task: Task, since: float, until: float) -> Step | None:
    """Take the record of the task's update: one that was late may have left no record of its arrival."""
    if task.delivered is not None:
        return _next(fates, since)
    return _next(fates, since, until) if fates and fates[0].what == "late" else None


def _fate(what: str) -> Fate:
    return "used" if what == "used" else "late" if what == "late" else "unused"


def _fates(server: Sequence[Step]) -> dict[int, deque[Step]]:
    """Return the records of what became of a client's updates, in the order of their arrival.

    An evaluation may be late, too, and the record does not say which it is.
    """
    found: dict[int, deque[Step]] = defaultdict(deque)
    kinds: dict[int, str | None] = {}  # of the client's last message in each round
    for step in server:
        if step.round is None:
            continue
        if step.what == "received":
            kinds[step.round] = step.kind
        elif step.what in ("used", "unused") or (step.what == "late" and kinds.get(step.round, MODEL) == MODEL):
            found[step.round].append(step)
    return found


def _queues(steps: Sequence[Step], what: str, kind: str | None = MODEL) -> dict[int, deque[Step]]:
    found: dict[int, deque[Step]] = defaultdict(deque)
    for step in steps:
        if step.what == what and step.round is not None and (kind is None or step.kind == kind):
            found[step.round].append(step)
    return found


def _next(queue: deque[Step], since: float, until: float = math.inf) -> Step | None:
    """Take the first step of the queue that is not before ``since``, unless it comes after ``until``; earlier ones
    belong to no task and are dropped."""
    while queue and queue[0].t <= until + CLOCK_GRAIN_S:
        step = queue.popleft()
        if step.t >= since - CLOCK_GRAIN_S:
            return step
    return None


# Times are recorded to 0.1 ms: the end of one step and the beginning of the next may appear in either order.
CLOCK_GRAIN_S = 0.0002


def _moment(step: Step | None) -> float | None:
    return None if step is None else step.t
