"""What a lab host needs for a reference step, and what of it a device gets to be as fast as its type says. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from .references.facts import Reference
from .values import Share

#: Within this quota a step is timed as slow devices have it: what it has in caches is lost while it waits.
QUOTA_CPUS: Final = 0.25
#: So many containers are timed within each quota where a lab host has room for them.
OF_EACH_QUOTA: Final = 2
#: The share of a lab host's cores that they may have together.
MOST_OF_CORES: Final = 0.6
#: A step takes about so many times the processor time of one without a limit, within the quota of the slowest device.
SLOWED: Final = 1.3
#: A calibration whose times differed by more than this is named.
SURE: Final = 0.05
#: After so many times nothing of a share changes: the processor time depends on it but little.
SETTLED: Final = 8
#: One thread is timed within so many limits: two quotas, and none.
WITH_ONE_THREAD: Final = 3
#: With as many threads as these and with all cores, as far as there are so many.
THREADS: Final = (1, 2, 4)
#: A step that took so much longer than its processor time allows was held up by something else.
BUSY_SHARE: Final = 0.1


@dataclass(frozen=True)
class Timing:
    """Steps with so many threads, within a quota or, where ``cpus`` is None, without.

    Attributes:
        wall_s: what a step took: the median; within a quota the mean, as single steps wait for whole periods.
        cpu_s: its processor time, of all threads: the median; within a quota the mean, by which a course is slowed.
        spread: half the range between the quartiles of the processor time, as a share of its median;
            0 of a single step.
        steps: how many were timed.
        part_cpu_s: the processor time of a part of the step; None: not timed, as the step consists of such parts.
    """

    threads: int
    cpus: float | None
    wall_s: float
    cpu_s: float
    spread: float
    steps: int
    part_cpu_s: float | None = None

    @property
    def held_up(self) -> float:
        """By which share a step took longer than its processor time within the quota, or on its cores, allows."""
        return self.wall_s * (self.cpus or self.threads) / self.cpu_s - 1 if self.threads == 1 else 0.0


@dataclass(frozen=True)
class Calibration:
    """What was measured on a lab host.

    Attributes:
        processor: its model, which other lab hosts share.
        reference: the step.
        image: of the engine, in which it was timed.
        measured_at: UTC, as ISO 8601 writes it.
        timings: with one thread within quotas, then without one by number of threads.
        version: of the reference's program.
    """

    processor: str
    reference: str
    image: str
    measured_at: str
    timings: tuple[Timing, ...]
    version: int = 1

    @property
    def within_quota(self) -> Timing:
        """One thread within :data:`QUOTA_CPUS`."""
        return max((one for one in self.timings if one.cpus is not None), key=lambda one: one.cpus or 0.0)

    @property
    def _one_thread(self) -> Sequence[tuple[float, Timing]]:
        """Those with one thread by their cpus, the fewest first: without a limit it has one core."""
        return sorted(((one.cpus or 1.0, one) for one in self.timings if one.threads == 1), key=lambda of: of[0])

    def step_cpu_s(self, cpus: float) -> float:
        """Return the processor time of a step with one thread within so many cpus.

        It grows as the quota shrinks: what a step has in the processor's caches is lost while it waits for the next
        period. Between two limits it is taken to be linear in the logarithm of the cpus, and constant below the least.
        """
        return self._between([(limit, one.cpu_s) for limit, one in self._one_thread], cpus)

    def parts(self, cpus: float) -> float | None:
        """Return to how many parts a step within so many cpus is equal; None: no part was timed here.

        Without a limit it is more of them than within :data:`QUOTA_CPUS`, as a part needs less of the processor's
        caches than a step. In smaller quotas it is taken to be as many: there it changed by less than chance.
        """
        known = [
            (limit, one.cpu_s / one.part_cpu_s)
            for limit, one in self._one_thread
            if one.part_cpu_s and limit >= (self.within_quota.cpus or 0.0)
        ]
        return self._between(known, cpus) if known else None

    @staticmethod
    def _between(known: Sequence[tuple[float, float]], cpus: float) -> float:
        for (below, less), (above, more) in pairwise(known):
            if below < cpus <= above:
                return less + math.log(cpus / below) / math.log(above / below) * (more - less)
        return known[0][1] if cpus <= known[0][0] else known[-1][1]

    def is_current(self, reference: Reference) -> bool:
        """Whether all was measured that is measured today: earlier versions timed one quota, parts only there, or other
        work.
        """
        timings = [one for _, one in self._one_thread]
        has_parts = reference.parts is not None or all(one.part_cpu_s for one in timings[1:])
        return self.version == reference.version and len(timings) >= WITH_ONE_THREAD and has_parts

    @property
    def free(self) -> Sequence[Timing]:
        """Those without a quota, by number of threads."""
        return sorted((one for one in self.timings if one.cpus is None), key=lambda one: one.threads)

    @property
    def is_whole(self) -> bool:
        """Whether all is there that quotas are computed from; not so in a file that something else has changed."""
        times = [seconds for one in self.timings for seconds in (one.wall_s, one.cpu_s, one.part_cpu_s or 1.0)]
        kinds = {one.cpus is None for one in self.timings if one.threads > 0 and (one.cpus is None or one.cpus > 0)}
        return kinds == {True, False} and all(0 < seconds < math.inf for seconds in times)

    @property
    def uncertainty(self) -> float:
        """How sure the processor time of a step with one thread is, as a share of it: within the limit that says least.

        What slows a step for seconds may be in the shorter timings alone, and all quotas would follow from it.
        """
        return max(timing.spread for _, timing in self._one_thread)

    @property
    def is_sure(self) -> bool:
        """Whether nothing else seems to have slowed the steps; else it is better measured again."""
        return self.uncertainty <= SURE and not self.was_busy

    @property
    def was_busy(self) -> bool:
        """Whether something else held the steps up: with several threads, times are then too long."""
        return max(self.free[0].held_up, self.within_quota.held_up) > BUSY_SHARE

    def share(self, seconds: float) -> Share:
        """Return what a device gets whose step takes ``seconds``.

        One thread, in a quota of its processor time in that of the step, is enough for most. For others the least
        number of threads that was fast enough, and of one that is faster than all cores more of them than there are.
        """
        cpus = self.within_quota.cpu_s / seconds
        for _ in range(SETTLED):  # as the processor time depends on the cpus
            cpus = self.step_cpu_s(cpus) / seconds
        if cpus <= 1:
            return Share(round(cpus, 5), 1)
        timing = next((one for one in self.free if one.wall_s <= seconds), self.free[-1])
        return Share(round(timing.threads * timing.wall_s / seconds, 5), timing.threads)


def summarise(
    threads: int, cpus: float | None, steps: Sequence[tuple[float, float]], part_cpu_s: float | None = None
) -> Timing:
    """Return what steps of so many wall-clock and processor seconds amount to."""
    walls, used = [wall for wall, _ in steps], [cpu for _, cpu in steps]
    median = statistics.median(used)
    low, _, high = statistics.quantiles(used, n=4, method="inclusive") if len(used) > 1 else (median, median, median)
    return Timing(
        threads=threads,
        cpus=cpus,
        wall_s=round(statistics.median(walls) if cpus is None else statistics.fmean(walls), 6),
        cpu_s=round(median if cpus is None else statistics.fmean(used), 6),
        spread=round((high - low) / 2 / median, 4),
        steps=len(steps),
        part_cpu_s=None if part_cpu_s is None else round(part_cpu_s, 7),
    )


def small_quota(free_s: float, reference: Reference) -> float:
    """Return the smaller quota in which a lab host is timed: about that of the slowest devices.

    Args:
        free_s: the processor time of a step with one thread, without a limit.
        reference: the step.
    """
    return min(round(SLOWED * free_s / reference.slowest_s, 4), QUOTA_CPUS / 2)


def devices_of_each_quota(cores: int, memory_bytes: int, reference: Reference) -> int:
    """Return how many containers time steps within each of the two quotas, all at once.

    Equal containers differ by some percent, and a lab host in use has several devices. Two of each stand for those, but
    they take at most :data:`MOST_OF_CORES` and half of the memory.

    Args:
        cores: the lab host's.
        memory_bytes: what is free there.
        reference: the step.
    """
    by_cpus = MOST_OF_CORES * cores / (QUOTA_CPUS + QUOTA_CPUS / 2)
    by_memory = memory_bytes / 2 / (2 * reference.step_bytes)
    return max(1, min(OF_EACH_QUOTA, int(by_cpus), int(by_memory)))


def threads_to_try(cores: int) -> list[int]:
    """Return the numbers of threads with which steps are timed on a host of so many cores."""
    return sorted({count for count in THREADS if count <= cores} | {cores})
