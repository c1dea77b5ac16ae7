"""The processor time and the memory that the devices used, compared with their limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedsim_runner.contract.units import size_unit

from ..samples import read_samples
from .device_rows import choose_rows, lost_devices, servers
from .event_marks import describe_device_marks, event_caption, mark_events
from .heat_rows import draw_heat_rows
from .style import COLOURS, Drawn, drawing, new_panels, short

# Up to this many devices, each has its own panel; with more, all share one heat map.
MAX_PANELS = 12
MAX_POINTS = 300
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Usage:
    """Samples of one device: seconds since training began, bytes, processor seconds so far."""

    seconds: Values
    memory: Values
    cpu: Values

    def cores(self) -> tuple[Values, Values]:
        """Return times and processors in use, each since the sample before; the first value holds from the start."""
        steps = np.diff(self.seconds)
        later = steps > 0
        used = np.maximum(0.0, np.diff(self.cpu)[later]) / steps[later]
        return np.append(self.seconds[:1], self.seconds[1:][later]), np.append(used[:1], used)


def read_usage(run_dir: Path, report: Mapping[str, Any]) -> dict[str, Usage]:
    """Return samples by device, in the report's order, thinned out to what a figure can show.

    They begin when the gate opens: before, devices load without their CPU limit, which is the testbed's cost.
    """
    zero = report.get("began") or 0.0
    startup = report.get("startup_s")
    gate = -np.inf if startup is None else zero - startup
    samples = read_samples(run_dir)
    found = {}
    for name in report.get("devices") or {}:
        if name not in samples:
            continue
        one = samples[name]
        known = np.isfinite(one.times) & np.isfinite(one.cpu) & (one.times >= gate)
        if np.count_nonzero(known) >= 2:
            found[name] = _thinned(one.times[known] - zero, np.nan_to_num(one.memory[known]), one.cpu[known])
    return found


@drawing
def draw_cpu(report: Mapping[str, Any], usage: Mapping[str, Usage]) -> Drawn | None:
    """Draw the processors in use over time; None without samples."""
    series = {name: one.cores() for name, one in usage.items()}
    series = {name: pair for name, pair in series.items() if len(pair[1])}
    limits = {name: report["devices"][name].get("cpus") for name in series}
    caption = "Processors in use since the gate opened, over the time since training began"
    return _draw(report, series, limits, "cpu", "Processor", "CPUs", 1.0, caption)


@drawing
def draw_memory(report: Mapping[str, Any], usage: Mapping[str, Usage]) -> Drawn | None:
    """Draw the memory in use over time; None without samples."""
    series = {name: (one.seconds, one.memory) for name, one in usage.items() if one.memory.any()}
    largest = max((float(values.max()) for _, values in series.values()), default=0.0)
    factor, unit = size_unit(largest)
    limits = {name: report["devices"][name].get("memory_limit_bytes") for name in series}
    caption = "Memory in use since the gate opened, file cache included, over the time since training began"
    return _draw(report, series, limits, "memory", "Memory", unit, factor, caption)


def _draw(
    report: Mapping[str, Any],
    series: Mapping[str, tuple[Values, Values]],
    limits: Mapping[str, float | None],
    name: str,
    title: str,
    unit: str,
    factor: float,
    caption: str,
) -> Drawn | None:
    if not series:
        return None
    if len(series) > MAX_PANELS:
        return _draw_rows(report, series, limits, name, title, unit, factor, caption)
    figure, panels = new_panels(len(series), unit)
    for axes, (device, (times, values)) in zip(panels, series.items(), strict=True):
        _panel(axes, device, times, values / factor, limits.get(device), factor, unit)
        mark_events(axes, report, device)
    caption = f"{caption}. Dashed: the device's limit; given as text if it is far above."
    return Drawn(name, title, caption + describe_device_marks(report), figure)


def _draw_rows(
    report: Mapping[str, Any],
    series: Mapping[str, tuple[Values, Values]],
    limits: Mapping[str, float | None],
    name: str,
    title: str,
    unit: str,
    factor: float,
    caption: str,
) -> Drawn:
    share = all(limits.get(device) for device in series)
    scales = {device: (limits[device] or 1.0) / 100 if share else factor for device in series}
    peaks: dict[str, float | None] = {
        device: float(values.max()) / scales[device] for device, (_, values) in series.items()
    }
    shown = choose_rows(peaks, ("highest", "median", "lowest"), first=servers(report), lost=lost_devices(report))
    figure = draw_heat_rows(report, series, scales, shown, "% of the device's limit" if share else unit)
    caption += ", as a share of each device's limit." if share else f" ({unit})."
    if not shown.complete:
        caption += f" Above: all clients; below: in the order of their highest value.{shown.describe()}"
    caption += event_caption(report)
    return Drawn(name, title, caption, figure, table="" if shown.complete else "measured-devices")


def _panel(
    axes: Any,
    device: str,
    times: Values,
    values: Values,
    limit: float | None,
    factor: float,
    unit: str,
) -> None:
    axes.plot(times, values, color=COLOURS[0], lw=1.1)
    axes.fill_between(times, values, color=COLOURS[0], alpha=0.12, lw=0)
    axes.set_title(short(device), fontsize=7.5)
    top = float(values.max()) * 1.15 or 1.0
    if limit:
        scaled = limit / factor
        if scaled <= top * 2.5:
            axes.axhline(scaled, color=COLOURS[1], ls="--", lw=1)
            top = max(top, scaled * 1.1)
        else:
            text = f"limit {_amount(limit, factor, unit)}"
            corner = {"transform": axes.transAxes, "ha": "right", "va": "top"}
            axes.text(0.98, 0.94, text, fontsize=6.5, color=COLOURS[1], **corner)
            top *= 1.25
    axes.set_ylim(0, top)
    axes.locator_params(axis="both", nbins=4)
    axes.tick_params(labelsize=6.5)


def _amount(limit: float, factor: float, unit: str) -> str:
    if unit == "CPUs":
        return f"{limit:g} CPU{'' if limit == 1 else 's'}"
    factor, unit = size_unit(limit)
    return f"{limit / factor:.4g} {unit}"


def _thinned(seconds: Values, memory: Values, cpu: Values) -> Usage:
    """Reduce to about :data:`MAX_POINTS` samples: of each group the largest memory and the last processor seconds."""
    step = -(-len(seconds) // MAX_POINTS)
    if step == 1:
        return Usage(seconds, memory, cpu)
    begins = np.arange(0, len(seconds), step)
    ends = np.minimum(begins + step, len(seconds)) - 1
    return Usage(seconds[ends], np.maximum.reduceat(memory, begins), cpu[ends])
