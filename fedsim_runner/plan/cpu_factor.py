"""The common factor by which the cpus of all devices are scaled, so that they fit their lab hosts. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from ..contract.cpu_limit import LEAST_CPUS
from ..spec.dilation import beyond_lab_hosts
from ..spec.experiment import Device, Experiment
from .file_place import place_of, place_of_device
from .other_runs import usable_cpus
from .placement_error import PlacementError
from .speeds import Speeds


def choose_cpu_factor(experiment: Experiment, speeds: Speeds) -> float:
    """Return the factor that the experiment gives, or else the largest one, at most 1, that fits all lab hosts.

    A run that is up keeps a smaller factor that it has had since.
    """
    if experiment.cpu_factor is not None:
        return experiment.cpu_factor
    return min(_fitting_factor(experiment, speeds), *_standing_factors(experiment, speeds), 1.0)


def describe_kept_factor(experiment: Experiment, speeds: Speeds, factor: float) -> Iterator[str]:
    """Yield a note if a run that is up keeps a smaller factor than would fit now."""
    fits = _fitting_factor(experiment, speeds)
    if experiment.cpu_factor is None and factor < fits:
        yield (
            f"the run is up and keeps its cpu factor {factor:g}, though {fits:g} would fit now: end it with "
            "`fedsim-provision down` first to have the factor computed again"
        )


def refuse_factor(experiment: Experiment, speeds: Speeds, factor: float) -> None:
    """Refuse a factor at which lab hosts do not hold all devices and links.

    Raises:
        PlacementError: a device gets less of a processor than the kernel can limit it to, or more than its lab host
            has, or links are out of a lab host's reach; all of it is named together.
    """
    problems = []
    smallest = min(experiment.devices, key=speeds.cpus)
    if speeds.cpus(smallest, factor) < LEAST_CPUS:
        own = experiment.cpu_factor is None or speeds.cpus(smallest) < LEAST_CPUS
        place = place_of_device(experiment, smallest) if own else place_of(experiment, "cpu_factor")
        problems.append(place + _too_little(smallest, factor, experiment.devices, speeds))
    too_large = [
        device
        for device in experiment.devices
        if speeds.cpus(device, factor) > speeds.hosts[speeds.host_of(device)].cpus
    ]
    if too_large:
        device = too_large[0]
        place = place_of_device(experiment, device)
        if experiment.cpu_factor is not None:
            place = place_of(experiment, "cpu_factor")
        problems.append(
            f"{place}device {device.name} ({device.type.name}) would get {speeds.cpus(device, factor):g} cpus, more "
            f"than lab host {speeds.host_of(device)} has: set a smaller cpu_factor, or leave it out to have it computed"
        )
    if experiment.time == "dilated":
        place = place_of(experiment, "time")
        problems += [
            f"{place}{one.what}: dilated time at factor {factor:g} needs {one.hint}; time: real does not"
            for one in beyond_lab_hosts(experiment, factor)
        ]
    if problems:
        raise PlacementError("; ".join(problems))


def _fitting_factor(experiment: Experiment, speeds: Speeds) -> float:
    nominal = dict.fromkeys(speeds.hosts, 0.0)  # what the devices of each lab host would have without a factor
    for device in experiment.devices:
        nominal[speeds.host_of(device)] += speeds.cpus(device)
    fits = min((usable_cpus(speeds.hosts[name]) / cpus for name, cpus in nominal.items() if cpus), default=1.0)
    return min(1.0, math.floor(fits * 10_000) / 10_000)


def _standing_factors(experiment: Experiment, speeds: Speeds) -> Iterator[float]:
    # Other runs may have ended since the run was brought up: its devices, if they are the same, are as fast as then.
    standing = {name: host.standing for name, host in speeds.hosts.items() if host.standing}
    for factor in {there.cpu_factor for there in standing.values()}:
        if all(
            (there := standing.get(speeds.host_of(device))) is not None
            and there.cpus.get(device.name) == speeds.cpus(device, factor)
            for device in experiment.devices
        ):
            yield factor


def _too_little(device: Device, factor: float, devices: Sequence[Device], speeds: Speeds) -> str:
    """Why a device would get less of a processor than a kernel can limit it to."""
    text = (
        f"device {device.name} ({device.type.name}) would get {speeds.cpus(device, factor):.2g} cpus, below the "
        f"{LEAST_CPUS} that the kernel can limit it to: "
    )
    if speeds.cpus(device, 1.0) < LEAST_CPUS:
        return f"{text}this lab cannot emulate so slow a device; give its type more speed, or set a larger cpu_factor"
    largest = max(devices, key=speeds.cpus)
    asked, most = sum(map(speeds.cpus, devices)), speeds.cpus(largest)
    return (
        f"{text}the devices ask for {asked:,.4g} cpus ({largest.name} of type {largest.type.name} for {most:,.4g}) and "
        f"the lab has {sum(host.cpus for host in speeds.hosts.values()):g}; ask for fewer or smaller devices, add lab "
        "hosts, or set a larger cpu_factor"
    )
