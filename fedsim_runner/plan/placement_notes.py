"""What a user should know of where devices are placed, and of the limits that they get there. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..catalog.engines import engine_facts
from ..contract.cpu_limit import limit_to
from ..contract.time_scale import TimeScale
from ..contract.units import size
from ..lab.host import LabHost
from .emulation import describe_emulation
from .gpus import gpus_for
from .model import PlacedDevice
from .names import join_names
from .other_runs import describe_held_cpus, describe_taken

# A part of a core that no thread computes on; less goes into a participant's other threads, which send and receive.
LEFT_OVER_CPUS = 0.1


def describe_placement(
    placed: Sequence[PlacedDevice],
    hosts: Sequence[LabHost],
    by_host: Mapping[str, Sequence[PlacedDevice]],
    factor: float,
    scale: TimeScale,
) -> list[str]:
    """Notes on devices that get less than they ask for, and on lab hosts that promise more than they have.

    Args:
        placed: all devices.
        hosts: the lab hosts that carry them.
        by_host: the devices of each lab host.
        factor: the common cpu factor.
        scale: how device time and wall time are related.
    """
    return [
        *_describe_factor(factor, scale),
        *_describe_shares(placed, scale),
        *_describe_small_memory(placed),
        *(note for host in hosts for note in _describe_host(host, by_host[host.name])),
    ]


def _describe_factor(factor: float, scale: TimeScale) -> Iterator[str]:
    if not scale.is_real:
        yield describe_dilation(factor)
    elif factor < 1:
        yield (
            f"compute is scaled by {factor:g} on every device, so ratios hold; links stay in real time, so compared "
            f"with sending, computing takes {1 / factor:.3g} times as long as on the devices: time: dilated scales "
            f"both (repeat with cpu_factor: {factor:g})"
        )


def _describe_shares(placed: Sequence[PlacedDevice], scale: TimeScale) -> Iterator[str]:
    """Shares of processors that are too small to be smooth, or of which a part has no thread to use it."""
    # In a dilated run these are cores and milliseconds of the devices.
    coarse = [item for item in placed if limit_to(item.cpus / scale.factor).coarse]
    if coarse:
        least_cpus = min(item.cpus for item in coarse) / scale.factor
        limit = limit_to(least_cpus)
        yield (
            f"{join_names([item.device.name for item in coarse])}: below 0.01 cpus a device computes in bursts; "
            f"at {least_cpus:.3g} cpus it gets {limit.quota_us / 1000:.3g} ms every {limit.period_us / 1000:.3g} ms, "
            "and its times are accurate to a few of these periods"
        )
    partly = [item for item in placed if item.cpus - item.threads > LEFT_OVER_CPUS]
    if partly:
        yield (
            f"{join_names([item.device.name for item in partly])}: of {partly[0].cpus:g} cpus training uses "
            f"{partly[0].threads}, as each thread needs a whole core"
        )


def _describe_small_memory(placed: Sequence[PlacedDevice]) -> Iterator[str]:
    for engine in sorted({item.device.engine for item in placed}):
        need = engine_facts(engine).memory_bytes
        devices = [item.device for item in placed if item.device.engine == engine]
        small = [device.name for device in devices if device.type.memory_bytes < need]
        if small:
            yield f"{join_names(small)}: less memory than the {size(need)} that engine {engine} needs for a small model"


def _describe_host(host: LabHost, here: Sequence[PlacedDevice]) -> Iterator[str]:
    yield from describe_held_cpus(host)
    cpus = sum(item.cpus for item in here)
    if cpus > host.cpus:
        promised = f"devices were promised {cpus:.2f} cpus, more than its {host.cpus:g}"
        yield f"lab host {host.name}: {promised}: they will compete"
    memory = sum(item.device.type.memory_bytes for item in here)
    if memory > host.memory_bytes:
        yield (
            f"lab host {host.name}: devices together may use {size(memory)} of memory, more than its "
            f"{size(host.memory_bytes)}: each device's limit holds, but their sum is over-committed"
        )
    without_gpu = [item.device.name for item in here if item.gpus < gpus_for(item.device, host)]
    if without_gpu:
        held = describe_taken(host, lambda taken: len(taken.gpu_ids), lambda count: f"{count:g} of its GPUs")
        also = f" ({held})" if held else ""
        compute = "it computes" if len(without_gpu) == 1 else "they compute"
        yield f"lab host {host.name} has no GPU for {join_names(without_gpu)}{also}: {compute} on the CPU"
    yield from describe_emulation(here, host)


def describe_dilation(factor: float) -> str:
    """Say what dilated time at a factor means for who looks at a clock."""
    takes = f"{1 / factor:.3g} wall seconds" if factor < 1 else f"{1 / factor:.3g} of a wall second"
    return (
        f"dilated time: a device second takes {takes}, as cpus, rates, delays, time limits and events are all scaled "
        f"by {factor:g}; times here and in the report are those of the devices (repeat with cpu_factor: {factor:g})"
    )
