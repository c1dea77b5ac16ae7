"""Which devices time parts of their reference step before the gate opens, and why others do not. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ..catalog.engines import engine_facts
from ..compute.references import REFERENCES
from ..contract.cpu_limit import limit_to
from ..contract.reference_windows import whole_s
from ..contract.time_scale import TimeScale
from ..lab.host import LabHost
from .model import PlacedDevice
from .names import join_names

#: Before the gate opens, devices time parts of their reference steps, all at once, for at least so long.
LEAST_S = 2.5
#: A small limit's device computes in bursts, each followed by a wait of several periods: so many say what it gets.
PERIODS = 20
#: But the course does not wait longer than this.
LONGEST_S = 8.0
#: A device that does fewer parts meanwhile would say little: it times them for longer, if the course can wait for it.
LEAST_PARTS = 5


@dataclass(frozen=True)
class StepTiming:
    """To how many parts a device's reference step is equal.

    ``parts``: None: it times none, because of ``why_not``; empty: it has no reference step, or its lab host was
    calibrated without parts, of which another note says so. ``seconds``: for how long it times them, by the clock;
    ``corrects``: whether it does so twice, as its limit is corrected by that; ``together``: by what all such devices of
    its lab host time.
    """

    parts: float | None
    why_not: str = ""
    seconds: float = 0.0
    corrects: bool = False
    together: bool = False

    @property
    def whole_s(self) -> float:
        """How long before the gate opens it begins."""
        return whole_s(self.seconds) if self.corrects else self.seconds


def time_step(item: PlacedDevice, host: LabHost, cpu_factor: float, scale: TimeScale) -> StepTiming:
    """Return whether a device times its reference step.

    Args:
        item: the device.
        host: its lab host.
        cpu_factor: by which all devices' processors are scaled.
        scale: the run's.
    """
    if item.speed is None or host.calibrations is None:
        return StepTiming(None)
    reference = REFERENCES[item.speed.reference]
    needed = engine_facts(item.device.engine).memory_bytes + reference.part_bytes
    if item.device.type.memory_bytes < needed:
        return StepTiming(None, f"takes {needed >> 20} MB of memory with their engine, more than they have")
    parts: float | None = reference.parts
    if parts is None:
        if item.threads > 1:
            return StepTiming(None, "is compared with its parts with one thread only, and they have several")
        known = host.calibrations[reference.name]
        parts = known.parts(item.cpus) if known.version == reference.version else None
    if parts is None:
        return StepTiming(None)
    period_s = limit_to(item.cpus, scale.factor).period_us / 1e6
    part_s = item.speed.seconds / cpu_factor / parts
    if part_s * LEAST_PARTS > LONGEST_S:
        return StepTiming(None, f"takes too long: not {LEAST_PARTS} parts of it fit into {LONGEST_S:g} s")
    seconds = seconds_of_timing(part_s, period_s)
    corrects = item.threads == 1
    # The time of other work than the step says enough of it only for all of them.
    together = corrects and reference.parts is None
    return StepTiming(round(parts, 4), seconds=seconds, corrects=corrects, together=together)


def seconds_of_timing(part_s: float, period_s: float) -> float:
    """Return for how many seconds a device times parts that take ``part_s`` each, within a limit with such periods."""
    least_s = max(LEAST_S, PERIODS * period_s, LEAST_PARTS * part_s)
    return min(round(least_s, 1), LONGEST_S)


def describe_untimed(
    placed: Iterable[PlacedDevice], hosts: Mapping[str, LabHost], cpu_factor: float, scale: TimeScale
) -> Iterator[str]:
    """Yield which devices do not time their reference step though they have one, and why."""
    untimed: dict[tuple[str, str], list[str]] = {}
    for item in placed:
        why = time_step(item, hosts[item.lab_host], cpu_factor, scale).why_not
        if why and item.speed is not None:
            untimed.setdefault((item.speed.reference, why), []).append(item.device.name)
    for (reference, why), names in untimed.items():
        yield (f"{join_names(names)}: judged by the steps of the course alone, as timing {reference} before it {why}")
