"""Devices whose programs are of another architecture than their lab host's. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..catalog.engines import engine_facts
from ..catalog.types import DeviceType
from ..contract.emulation import (
    ASSUMED_SLOWDOWN,
    PACKAGE,
    Slowdown,
    describe_emulated,
    describe_slowdown,
    describe_unmeasured,
)
from ..contract.units import size
from ..lab.host import LabHost
from ..spec.experiment import Device
from .model import PlacedDevice
from .names import join_names
from .placement_error import PlacementError

# The architecture of a lab host that runs no images: nothing is foreign to it.
ANY = "any"
# What qemu 7.2 takes beside the programs that it runs: a client of the light engine had 104 MB in place of 29 MB.
EMULATOR_MEMORY_BYTES = 80 << 20


def is_emulated(device_type: DeviceType, host: LabHost) -> bool:
    """Whether a device of this type runs under an emulator on this lab host."""
    return device_type.emulated_by is not None and host.arch not in (device_type.arch, ANY)


def arch_of(item: PlacedDevice, host: LabHost) -> str:
    """The architecture of a device's image on its lab host."""
    return item.device.type.arch if item.emulated else host.arch


def slowdown(device: Device, host: LabHost) -> float:
    """How many times longer a device's Python code takes on this lab host than natively: measured or assumed."""
    if not is_emulated(device.type, host):
        return 1.0
    measured = _measured(device, host)
    return ASSUMED_SLOWDOWN if measured is None else measured.python


def refuse_two_architectures(here: Sequence[PlacedDevice], host: LabHost) -> None:
    """Check that no image is needed for two architectures on one lab host, as both would have its name there.

    Raises:
        PlacementError: one is.
    """
    first: dict[tuple[str, str], PlacedDevice] = {}
    for item in here:
        other = first.setdefault((item.device.type.dockerfile, item.device.engine), item)
        if other.emulated != item.emulated:
            raise PlacementError(
                f"devices {other.device.name} and {item.device.name} have the same image, and one of them is emulated "
                f"on lab host {host.name}: set emulate in both of their device types, or give one another dockerfile"
            )


def describe_emulation(here: Sequence[PlacedDevice], host: LabHost) -> Iterator[str]:
    """Yield notes on the devices of a lab host that have another architecture."""
    foreign = [item for item in here if not item.emulated and host.arch not in (item.device.type.arch, ANY)]
    if foreign:
        names = join_names([item.device.name for item in foreign])
        yield f"{names}: {foreign[0].device.type.arch} is not emulated, runs as {host.arch} on lab host {host.name}"
    kinds: dict[tuple[str, str], list[PlacedDevice]] = {}
    for item in here:
        if item.emulated:
            kinds.setdefault((item.device.type.arch, item.device.engine), []).append(item)
    for (arch, engine), items in sorted(kinds.items()):
        who = describe_emulated([item.device.name for item in items], arch, host.name, host.arch)
        measured = _measured(items[0].device, host)
        yield who + (describe_unmeasured(engine) if measured is None else describe_slowdown(engine, measured))
        without_gpu = [item.device.name for item in items if item.device.type.gpus]
        if without_gpu:
            yield f"{join_names(without_gpu)}: no GPU, as an emulated program cannot use one"
        needs = engine_facts(engine).memory_bytes + EMULATOR_MEMORY_BYTES
        small = [item.device.name for item in items if item.device.type.memory_bytes < needs]
        if small:
            yield f"{join_names(small)}: less memory than the {size(needs)} that engine {engine} needs when emulated"
        if host.emulates is not None and arch not in host.emulates:
            yield (
                f"lab host {host.name} cannot run {arch} programs yet: the run installs the package {PACKAGE} there, "
                "which stays"
            )


def _measured(device: Device, host: LabHost) -> Slowdown | None:
    return host.slowdowns.get(device.type.arch, {}).get(device.engine)
