"""Turning an experiment and a lab into a plan."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from ..contract.cpu_limit import LEAST_CPUS
from ..lab.host import LabHost
from ..spec.dilation import beyond_lab_hosts
from ..spec.experiment import Device, Experiment
from .addresses import choose_subnet
from .approximate_links import describe_approximations, describe_edges, describe_refusals
from .assignment import assign
from .emulation import is_emulated, refuse_two_architectures
from .file_place import place_of, place_of_device
from .gpus import give_gpus
from .host_load import describe_tightness, expected_load, refuse_too_little_memory, refuse_too_many
from .model import PlacedDevice, Plan, group_by_host, time_scale_of
from .other_runs import usable_cpus
from .pins import check_pins
from .placement_error import PlacementError
from .placement_notes import describe_placement
from .silence_note import describe_short_silence
from .speeds import Speeds, describe_speeds
from .timed_steps import describe_untimed
from .timeline_notes import describe_timeline, refuse_unseen
from .varying_links import describe_varying_links
from .wall_time import in_wall_time, with_devices

SERVER_PORT = 50051
CLIENT_PORT = 50052


def make_plan(experiment: Experiment, hosts: Sequence[LabHost], run: str) -> Plan:
    """Place every device on a lab host, scale cpus by one common factor and give each device its address.

    The same experiment on the same lab gives the same plan. Lab hosts that get no device are not part of it.

    Raises:
        FedsimError: a device asks for a lab host that there is not.
        PlacementError: the lab has no hosts, a device's reference was not measured on its lab host, its cpu limit would
            be below 0.001, lab hosts do not hold its links at the factor, a lab host's memory does not hold its
            devices, or there are more devices than addresses.
    """
    if not hosts:
        raise PlacementError("the lab has no lab hosts: name at least one")
    check_pins(experiment, hosts)
    missing = [host for host in hosts if host.missing]
    hosts = [host for host in hosts if not host.missing]
    assigned = assign(experiment, hosts)
    in_use = set(assigned.values())
    ordered_hosts = tuple(sorted((host for host in hosts if host.name in in_use), key=lambda host: host.name))
    by_name = {host.name: host for host in ordered_hosts}
    speeds = Speeds(by_name, assigned)
    speeds.refuse_unmeasured(experiment)
    factor = _choose_cpu_factor(experiment, ordered_hosts, assigned, speeds)
    _refuse_factor(experiment, ordered_hosts, assigned, speeds, factor)
    subnet = choose_subnet(len(experiment.devices))
    gpus = give_gpus(experiment.devices, by_name, assigned)

    placed = []
    ordered_devices = (experiment.server, *experiment.clients)
    for index, device in enumerate(ordered_devices):
        host = by_name[assigned[device.name]]
        share = speeds.share(device, factor)
        placed.append(
            PlacedDevice(
                device=device,
                lab_host=host.name,
                address=str(subnet.network_address + 1 + index),
                port=SERVER_PORT if device.role == "server" else CLIENT_PORT,
                cpus=share.cpus,
                threads=share.threads,
                gpu_ids=gpus[device.name],
                index=index,
                emulated=is_emulated(device.type, host),
                speed=speeds.of(device),
            )
        )
    scale = time_scale_of(experiment, factor)
    wall = in_wall_time(experiment, scale)
    in_force = with_devices(placed, wall)
    refuse_unseen(experiment.timeline, placed, experiment.server.name)
    by_host = group_by_host(placed)
    loads = []
    for host in ordered_hosts:
        refuse_two_architectures(by_host[host.name], host)
        loads.append(expected_load(host, by_host[host.name], len(placed) - 1))
        refuse_too_many(loads[-1])
        refuse_too_little_memory(loads[-1])
    return Plan(
        experiment=experiment,
        run=run,
        lab_hosts=ordered_hosts,
        placed=tuple(placed),
        cpu_factor=factor,
        subnet=str(subnet),
        loads=tuple(loads),
        notes=(
            *experiment.notes,
            *(f"lab host {host.name} is left out: {host.missing}" for host in missing),
            *_describe_kept_factor(experiment, ordered_hosts, assigned, factor, speeds),
            *describe_speeds(experiment.devices, speeds, ordered_hosts),
            *describe_untimed(placed, by_name, factor),
            *describe_placement(placed, ordered_hosts, by_host, factor, scale),
            *describe_refusals(wall, in_force),
            *describe_varying_links(experiment, placed),
            *describe_approximations(wall, in_force, scale),
            *describe_short_silence(experiment, scale),
            *describe_timeline(experiment, scale),
            *describe_edges(experiment, placed),
            *(note for load in loads for note in describe_tightness(load)),
        ),
    )


def _full_cpus(
    experiment: Experiment, hosts: Sequence[LabHost], assigned: dict[str, str], speeds: Speeds
) -> dict[str, float]:
    # What the devices of each lab host would have without a factor.
    full = {host.name: 0.0 for host in hosts}
    for device in experiment.devices:
        full[assigned[device.name]] += speeds.cpus(device)
    return full


def _fitting_factor(hosts: Sequence[LabHost], full: dict[str, float]) -> float:
    fits = min((usable_cpus(host) / full[host.name] for host in hosts if full[host.name]), default=1.0)
    return min(1.0, math.floor(fits * 10_000) / 10_000)


def _describe_kept_factor(
    experiment: Experiment, hosts: Sequence[LabHost], assigned: dict[str, str], factor: float, speeds: Speeds
) -> Iterator[str]:
    fits = _fitting_factor(hosts, _full_cpus(experiment, hosts, assigned, speeds))
    if experiment.cpu_factor is None and factor < fits:
        yield (
            f"the run is up and keeps its cpu factor {factor:g}, though {fits:g} would fit now: end it with "
            "`fedsim-provision down` first to have the factor computed again"
        )


def _standing_factor(
    experiment: Experiment, hosts: Sequence[LabHost], assigned: dict[str, str], speeds: Speeds
) -> Iterator[float]:
    # Other runs may have gone since the run was brought up: its devices, if they are the same, are as fast as then.
    standing = {host.name: host.standing for host in hosts if host.standing}
    for factor in {there.cpu_factor for there in standing.values()}:
        if all(
            (there := standing.get(assigned[device.name])) is not None
            and there.cpus.get(device.name) == speeds.cpus(device, factor)
            for device in experiment.devices
        ):
            yield factor


def _choose_cpu_factor(
    experiment: Experiment, hosts: Sequence[LabHost], assigned: dict[str, str], speeds: Speeds
) -> float:
    full = _full_cpus(experiment, hosts, assigned, speeds)
    factor = experiment.cpu_factor
    if factor is None:
        factor = min(_fitting_factor(hosts, full), *_standing_factor(experiment, hosts, assigned, speeds), 1.0)
    return factor


def _refuse_factor(
    experiment: Experiment, hosts: Sequence[LabHost], assigned: dict[str, str], speeds: Speeds, factor: float
) -> None:
    """Refuse a factor at which lab hosts hold not all devices and links; everything is named together."""
    problems = []
    smallest = min(experiment.devices, key=speeds.cpus)
    if speeds.cpus(smallest, factor) < LEAST_CPUS:
        own = experiment.cpu_factor is None or speeds.cpus(smallest) < LEAST_CPUS
        place = place_of_device(experiment, smallest) if own else place_of(experiment, "cpu_factor")
        problems.append(place + _too_little(smallest, factor, experiment.devices, hosts, speeds))
    has = {host.name: host.cpus for host in hosts}
    too_large = [device for device in experiment.devices if speeds.cpus(device, factor) > has[assigned[device.name]]]
    if too_large:
        device = too_large[0]
        place = place_of_device(experiment, device)
        if experiment.cpu_factor is not None:
            place = place_of(experiment, "cpu_factor")
        problems.append(
            f"{place}device {device.name} ({device.type.name}) would get {speeds.cpus(device, factor):g} cpus, more "
            f"than lab host {assigned[device.name]} has: set a smaller cpu_factor, or leave it out to have it computed"
        )
    if experiment.time == "dilated":
        place = place_of(experiment, "time")
        problems += [
            f"{place}{one.what}: dilated time at factor {factor:g} needs {one.hint}; time: real does not"
            for one in beyond_lab_hosts(experiment, factor)
        ]
    if problems:
        raise PlacementError("; ".join(problems))


def _too_little(
    device: Device, factor: float, devices: Sequence[Device], hosts: Sequence[LabHost], speeds: Speeds
) -> str:
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
        f"the lab has {sum(host.cpus for host in hosts):g}; ask for fewer or smaller devices, add lab hosts, or set a "
        "larger cpu_factor"
    )
