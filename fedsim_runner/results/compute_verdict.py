"""How far a device's computing may be from what was asked for, and what was measured says about that. Pure.

Three figures are judged, as far as there are any: a reference step that was timed within the device's quota before the
course; the time that the course's own steps took, against their processor time in the quota; and the time of a sample
against that of equal devices. A verdict has the meaning that it has for links
(:mod:`fedsim_runner.contract.link_verdict`).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..contract.cpu_limit import PERIOD_SPREAD, limit_to
from ..contract.link_verdict import OUT, UNDETERMINED, WITHIN, Estimate, Verdict, judge_value

#: So much of a time is tolerated.
TOLERATED: Final = 0.1
#: Short steps are too short for that, but if all of them together are off by no more than this share of the course's
#: time, nothing of the course depends on it.
OF_COURSE: Final = 0.02
#: A step may wait so long for its processor, and its times be so coarse, without anybody being to blame.
GRAIN_S: Final = 0.001
#: Of fewer equal devices none can be called the one that differs.
LEAST_ALIKE: Final = 3


@dataclass(frozen=True)
class Work:
    """A device's steps of training, evaluation and aggregation.

    Attributes:
        steps: how many.
        seconds: that they took together, by the clock.
        cpu_seconds: of its process meanwhile.
    """

    steps: int
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class Served:
    """How much of its processors a device got while it computed.

    Attributes:
        cpus_asked: what its process can use of its limit, in device time: with one thread at most one.
        cpus: what it used on average, in device time.
        error: by which share its steps took longer than their processor time allows; below 0: it got more than its
            limit.
        of_course: the time by which they took longer, as a share of the course's; None: unknown.
        verdict: of it.
    """

    cpus_asked: float
    cpus: float
    error: float
    of_course: float | None
    verdict: Verdict


@dataclass(frozen=True)
class Timed:
    """A reference step that was timed before the course, in device time.

    Attributes:
        asked_s: what it should take.
        step_s: what it took, computed from its parts.
        timed_s: how long parts of it were timed.
    """

    asked_s: float
    step_s: float
    timed_s: float

    @property
    def error(self) -> float:
        """By which share it took longer."""
        return self.step_s / self.asked_s - 1


def judge_timed(cpus: float, threads: int, timed: Timed, factor: float = 1.0) -> Verdict:
    """Return what a timed step says; the arguments are those of :func:`judge_work`."""
    return judge_value(
        0.0, TOLERATED, Estimate(timed.error, period_s(cpus, threads, factor) / timed.timed_s * (1 + abs(timed.error)))
    )


def judge_work(
    cpus: float, threads: int, work: Work, factor: float = 1.0, course_s: float | None = None
) -> Served | None:
    """Return how a device was served; None if it has not computed.

    A step may begin at the end of one period and end at the beginning of another, so each is known to a period only.
    With several threads nobody knows how many had something to do: too little says nothing.

    Args:
        cpus: its limit, in cores of the lab host.
        threads: with how many it computes.
        work: its own steps, in device time.
        factor: device seconds in a wall second.
        course_s: for how long it took part, in device time; None: unknown.
    """
    if work.seconds <= 0 or work.cpu_seconds <= 0:
        return None
    able = min(cpus, float(threads)) / factor
    error = work.seconds * able / work.cpu_seconds - 1
    if error < 0:
        error = min(0.0, work.seconds * cpus / factor / work.cpu_seconds - 1)
    verdict = judge_value(0.0, TOLERATED, Estimate(error, grain(cpus, threads, work, factor)))
    if verdict == OUT and error > 0 and threads > 1:
        verdict = UNDETERMINED
    of_course = error * work.cpu_seconds / able / course_s if course_s else None
    if verdict == UNDETERMINED and of_course is not None and abs(of_course) <= OF_COURSE:
        verdict = WITHIN
    return Served(able, work.cpu_seconds / work.seconds, error, of_course, verdict)


def grain(cpus: float, threads: int, work: Work, factor: float = 1.0) -> float:
    """Return how well a device's time is known, as a share of it: of each step to a period of its limit."""
    return work.steps * period_s(cpus, threads, factor) / work.seconds


def period_s(cpus: float, threads: int, factor: float = 1.0) -> float:
    """Return to which device seconds one span of a device's work is known: to a period, if it is held to its limit."""
    longest_s = (1 + PERIOD_SPREAD) * limit_to(cpus, factor).period_us / 1e6
    return factor * (GRAIN_S + (longest_s if cpus < threads else 0.0))


def spread_of_mean(seconds: Sequence[float]) -> float:
    """Return twice the standard error of the mean of what some steps took, as a share of it; 0 of a single step.

    The first steps also load what they need, and what a few short ones take is up to chance.
    """
    mean = statistics.fmean(seconds)
    return 2 * statistics.stdev(seconds) / math.sqrt(len(seconds)) / mean if len(seconds) > 1 and mean else 0.0


def judge_alike(error: float, margin: float) -> Verdict:
    """Return what the time that a device takes for a sample says, against the median of equal ones, both as shares."""
    return judge_value(0.0, TOLERATED, Estimate(error, margin))


def combine(*verdicts: Verdict | None) -> Verdict:
    """Return one verdict: out if any is, else within if any is."""
    return next((one for one in (OUT, WITHIN) if one in verdicts), UNDETERMINED)
