"""What the devices used: bytes, processor time and memory, compared with their limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedsim_runner.contract.lenient import number
from fedsim_runner.contract.units import size_unit

from ..run_files import read_metrics
from .style import (
    COLOURS,
    GREY,
    HEAT,
    Drawn,
    device_axis,
    device_height,
    drawing,
    narrow,
    new_figure,
    short,
)

# Up to this many devices, each has its own panel; with more, all share one heat map.
MAX_PANELS = 12
MAX_POINTS = 300
NARROW_COLUMNS = 2
MAX_BINS = 160


@dataclass
class Usage:
    """Samples of one device: seconds since training began, bytes, processor seconds so far."""

    seconds: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def cores(self) -> tuple[list[float], list[float]]:
        """Return times and processors in use, each between two samples."""
        times, values = [], []
        for index in range(1, len(self.seconds)):
            step = self.seconds[index] - self.seconds[index - 1]
            if step > 0:
                times.append(self.seconds[index])
                values.append(max(0.0, self.cpu[index] - self.cpu[index - 1]) / step)
        return times, values


def read_usage(run_dir: Path, report: Mapping[str, Any]) -> dict[str, Usage]:
    """Return samples by device, in the report's order, thinned out to what a figure can show."""
    zero = report.get("began") or 0.0
    found: dict[str, Usage] = {name: Usage() for name in report.get("devices") or {}}
    for row in read_metrics(run_dir):
        usage = found.get(row.get("device") or "")
        moment, memory, cpu = (number(row.get(key)) for key in ("t", "memory_bytes", "cpu_seconds"))
        if usage is None or moment is None or cpu is None:
            continue
        usage.seconds.append(moment - zero)
        usage.memory.append(memory or 0.0)
        usage.cpu.append(cpu)
    return {name: _thinned(usage) for name, usage in found.items() if len(usage.seconds) >= 2}


@drawing
def draw_bytes(report: Mapping[str, Any]) -> Drawn | None:
    """Draw the bytes of each device in both directions; None if none were counted."""
    devices = {
        name: entry
        for name, entry in (report.get("devices") or {}).items()
        if entry.get("bytes_up") is not None or entry.get("bytes_down") is not None
    }
    if not devices:
        return None
    names = list(devices)
    largest = max(max(entry.get("bytes_up") or 0, entry.get("bytes_down") or 0) for entry in devices.values())
    factor, unit = size_unit(largest)
    figure, axes = new_figure(device_height(len(names)))
    for key, label, shift, colour, hatch in (
        ("bytes_up", "up (device to network)", -0.19, "#004A80", ""),
        ("bytes_down", "down (network to device)", 0.19, "#8FC7EA", ""),
    ):
        widths = [(devices[name].get(key) or 0) / factor for name in names]
        places = [index + shift for index in range(len(names))]
        axes.barh(places, widths, 0.36, color=colour, hatch=hatch, label=label)
    device_axis(axes, names)
    axes.set(xlabel=f"{unit} on the device's interface")
    figure.legend(ncols=2, loc="outside upper right")
    caption = "Bytes that each device sent and received in the whole run, counted at its network interface."
    return Drawn("bytes", "Bytes up and down", caption, figure)


@drawing
def draw_cpu(report: Mapping[str, Any], usage: Mapping[str, Usage]) -> Drawn | None:
    """Draw the processors in use over time; None without samples."""
    series = {name: one.cores() for name, one in usage.items()}
    series = {name: pair for name, pair in series.items() if pair[0]}
    limits = {name: report["devices"][name].get("cpus") for name in series}
    caption = "Processors in use, over the time since training began"
    return _draw(series, limits, "cpu", "Processor", "CPUs", 1.0, caption)


@drawing
def draw_memory(report: Mapping[str, Any], usage: Mapping[str, Usage]) -> Drawn | None:
    """Draw the memory in use over time; None without samples."""
    series = {name: (one.seconds, one.memory) for name, one in usage.items() if any(one.memory)}
    largest = max((max(values) for _, values in series.values()), default=0.0)
    factor, unit = size_unit(largest)
    limits = {name: report["devices"][name].get("memory_limit_bytes") for name in series}
    caption = "Memory in use, file cache included, over the time since training began"
    return _draw(series, limits, "memory", "Memory", unit, factor, caption)


def _draw(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
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
        figure = _heat_map(series, limits, unit, factor)
        share = all(limits.get(device) for device in series)
        scale = " as a share of each device's limit." if share else f" ({unit})."
        return Drawn(name, title, f"{caption},{scale}" if share else f"{caption}{scale}", figure)
    # As many columns as leave the fewest panels empty; the widest of those.
    columns = min((5, 4, 3), key=lambda count: (-len(series) % count, -count)) if len(series) > 4 else len(series)
    columns = min(columns, NARROW_COLUMNS) if narrow() else columns
    rows = -(-len(series) // columns)
    figure, grid = new_figure(0.5 + 1.25 * rows, rows, columns, sharex=True, squeeze=False)
    panels = [axes for line in grid for axes in line]
    for axes in panels[len(series) :]:
        axes.set_visible(False)
    for index, (device, (times, values)) in enumerate(series.items()):
        _panel(panels[index], device, times, [value / factor for value in values], limits.get(device), factor, unit)
        if index % columns == 0:
            panels[index].set_ylabel(unit)
        if index + columns >= len(series):
            panels[index].tick_params(labelbottom=True)
            panels[index].set_xlabel("Time (s)")
    return Drawn(name, title, f"{caption}. Dashed: the device's limit; given as text if it is far above.", figure)


def _panel(
    axes: Any,
    device: str,
    times: Sequence[float],
    values: Sequence[float],
    limit: float | None,
    factor: float,
    unit: str,
) -> None:
    axes.plot(times, values, color=COLOURS[0], lw=1.1)
    axes.fill_between(times, values, color=COLOURS[0], alpha=0.12, lw=0)
    axes.set_title(short(device), fontsize=7.5)
    top = max(values) * 1.15 or 1.0
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


def _heat_map(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    limits: Mapping[str, float | None],
    unit: str,
    factor: float,
) -> Any:
    share = all(limits.get(device) for device in series)
    begin = min(times[0] for times, _ in series.values())
    end = max(times[-1] for times, _ in series.values())
    bins = max(1, min(MAX_BINS, int(end - begin)))
    width = (end - begin) / bins or 1.0
    picture = []
    for device, (times, values) in series.items():
        scale = (limits[device] or 1.0) / 100 if share else factor
        picture.append(_binned(times, values, begin, width, bins, scale))
    figure, axes = new_figure(device_height(len(series)))
    image = axes.imshow(
        picture, aspect="auto", cmap=HEAT, interpolation="nearest", vmin=0,
        extent=(begin, begin + bins * width, len(series) - 0.5, -0.5),
    )  # fmt: skip
    device_axis(axes, list(series))
    axes.set_ylim(len(series) - 0.5, -0.5)
    axes.grid(visible=False)
    axes.set(xlabel="Time since training began (s)")
    bar = figure.colorbar(image, ax=axes, pad=0.01, fraction=0.04)
    bar.set_label("% of the device's limit" if share else unit)
    bar.outline.set_edgecolor(GREY)
    return figure


def _binned(
    times: Sequence[float], values: Sequence[float], begin: float, width: float, bins: int, scale: float
) -> list[float]:
    sums, counts = [0.0] * bins, [0] * bins
    for moment, value in zip(times, values, strict=True):
        place = min(bins - 1, int((moment - begin) / width))
        sums[place] += value / scale
        counts[place] += 1
    return [total / count if count else float("nan") for total, count in zip(sums, counts, strict=True)]


def _thinned(usage: Usage) -> Usage:
    """Reduce to about :data:`MAX_POINTS` samples: of each group the largest memory and the last processor seconds."""
    step = -(-len(usage.seconds) // MAX_POINTS)
    if step == 1:
        return usage
    groups = range(0, len(usage.seconds), step)
    return Usage(
        [usage.seconds[min(at + step, len(usage.seconds)) - 1] for at in groups],
        [max(usage.memory[at : at + step]) for at in groups],
        [usage.cpu[min(at + step, len(usage.cpu)) - 1] for at in groups],
    )
