"""Turning an experiment and a lab into a plan."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..catalog.engines import engine_facts
from ..contract.compute_threads import threads_for
from ..contract.cpu_limit import LEAST_CPUS, limit_to
from ..contract.units import size
from ..lab.host import LabHost
from ..spec.experiment import Device, Experiment
from .addresses import choose_subnet
from .approximate_links import describe_approximations, describe_edges, describe_refusals
from .host_load import describe_tightness, expected_load, refuse_too_little_memory
from .model import PlacedDevice, Plan
from .names import join_names
from .placement_error import PlacementError
from .timeline_notes import describe_timeline, refuse_unseen
from .varying_links import describe_varying_links

SERVER_PORT = 50051
CLIENT_PORT = 50052
# Reserved for the Engine, the agent and Ansible, so that a fully loaded lab still shapes and measures in time.
RESERVED_CPU_SHARE = 0.1
# A part of a core that no thread computes on; less goes into a participant's other threads, which send and receive.
LEFT_OVER_CPUS = 0.1


def make_plan(experiment: Experiment, hosts: Sequence[LabHost], run: str) -> Plan:
    """Place every device on a lab host, scale cpus by one common factor and give each device its address.

    Devices go, largest first, to the lab host with the most nominal cpus left; ties are broken by name, so the same
    experiment on the same lab gives the same plan.

    Raises:
        PlacementError: the lab has no hosts, a device's cpu limit would be below 0.001, a lab host's memory does not
            hold its devices, or there are more devices than addresses.
    """
    if not hosts:
        raise PlacementError("the lab has no lab hosts: name at least one")
    ordered_hosts = tuple(sorted(hosts, key=lambda host: host.name))
    assigned = _assign(experiment.devices, ordered_hosts)
    factor = _choose_cpu_factor(experiment, ordered_hosts, assigned)
    subnet = choose_subnet(len(experiment.devices))
    by_name = {host.name: host for host in ordered_hosts}
    gpus_left = {host.name: len(host.gpu_ids) for host in ordered_hosts}

    placed = []
    ordered_devices = (experiment.server, *experiment.clients)
    for index, device in enumerate(ordered_devices):
        host = by_name[assigned[device.name]]
        cpus = round(device.type.cpus * factor, 5)
        gpus = min(device.type.gpus, gpus_left[host.name])
        gpus_left[host.name] -= gpus
        placed.append(
            PlacedDevice(
                device=device,
                lab_host=host.name,
                address=str(subnet.network_address + 1 + index),
                port=SERVER_PORT if device.role == "server" else CLIENT_PORT,
                cpus=cpus,
                threads=threads_for(cpus),
                gpus=gpus,
                index=index,
            )
        )
    refuse_unseen(experiment.timeline, placed, experiment.server.name)
    loads = []
    for host in ordered_hosts:
        here = [item for item in placed if item.lab_host == host.name]
        if here:
            loads.append(expected_load(host, here, len(experiment.clients)))
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
            *_write_notes(placed, ordered_hosts, factor),
            *describe_refusals(experiment, placed),
            *describe_varying_links(experiment, placed),
            *describe_approximations(experiment, placed),
            *describe_timeline(experiment),
            *describe_edges(experiment, placed),
            *(note for load in loads for note in describe_tightness(load)),
        ),
    )


def _assign(devices: Sequence[Device], hosts: Sequence[LabHost]) -> dict[str, str]:
    """Choose a lab host for each device; the result is lab host names by device name."""
    left = {host.name: host.cpus for host in hosts}
    assigned = {}
    for device in sorted(devices, key=lambda device: (-device.type.cpus, device.name)):
        name = max(left, key=lambda host: left[host])  # the first among equals: hosts are sorted by name
        assigned[device.name] = name
        left[name] -= device.type.cpus
    return assigned


def _choose_cpu_factor(experiment: Experiment, hosts: Sequence[LabHost], assigned: dict[str, str]) -> float:
    nominal = {host.name: 0.0 for host in hosts}
    for device in experiment.devices:
        nominal[assigned[device.name]] += device.type.cpus
    factor = experiment.cpu_factor
    if factor is None:
        fits = min(
            (host.cpus * (1 - RESERVED_CPU_SHARE) / nominal[host.name] for host in hosts if nominal[host.name]),
            default=1.0,
        )
        factor = min(1.0, math.floor(fits * 10_000) / 10_000)
    smallest = min(experiment.devices, key=lambda device: device.type.cpus)
    if smallest.type.cpus * factor < LEAST_CPUS:
        asked = sum(nominal.values())
        have = sum(host.cpus for host in hosts)
        raise PlacementError(
            f"device {smallest.name} ({smallest.type.name}) would get {smallest.type.cpus * factor:.5f} cpus, below "
            f"the {LEAST_CPUS} that the kernel can limit it to: the devices ask for {asked:g} cpus and the lab has "
            f"{have:g}; ask for fewer or smaller devices, add lab hosts, or set a larger cpu_factor"
        )
    too_large = [
        device
        for device in experiment.devices
        if device.type.cpus * factor > next(host.cpus for host in hosts if host.name == assigned[device.name])
    ]
    if too_large:
        device = too_large[0]
        raise PlacementError(
            f"device {device.name} ({device.type.name}) would get {device.type.cpus * factor:g} cpus, more than lab "
            f"host {assigned[device.name]} has: set a smaller cpu_factor, or leave it out to have it computed"
        )
    return factor


def _write_notes(placed: Sequence[PlacedDevice], hosts: Sequence[LabHost], factor: float) -> list[str]:
    notes = []
    if factor < 1:
        notes.append(
            f"compute is scaled by {factor:g} on every device, so ratios hold; links stay in real time "
            f"(repeat with cpu_factor: {factor:g})"
        )
    coarse = [item for item in placed if limit_to(item.cpus).coarse]
    if coarse:
        least = min(coarse, key=lambda item: item.cpus)
        limit = limit_to(least.cpus)
        notes.append(
            f"{join_names([item.device.name for item in coarse])}: below 0.01 cpus a device computes in bursts; "
            f"at {least.cpus:g} cpus it gets {limit.quota_us / 1000:g} ms every {limit.period_us / 1000:g} ms, "
            "and its times are accurate to a few of these periods"
        )
    partly = [item for item in placed if item.cpus - item.threads > LEFT_OVER_CPUS]
    if partly:
        notes.append(
            f"{join_names([item.device.name for item in partly])}: of {partly[0].cpus:g} cpus training uses "
            f"{partly[0].threads}, as each thread needs a whole core"
        )
    for engine in sorted({item.device.engine for item in placed}):
        need = engine_facts(engine).memory_bytes
        small = [item.device for item in placed if item.device.engine == engine]
        small = [device for device in small if device.type.memory_bytes < need]
        if small:
            names = join_names([device.name for device in small])
            notes.append(f"{names}: less memory than the {size(need)} that engine {engine} needs for a small model")
    for host in hosts:
        here = [item for item in placed if item.lab_host == host.name]
        cpus = sum(item.cpus for item in here)
        if cpus > host.cpus:
            notes.append(
                f"lab host {host.name}: devices were promised {cpus:.2f} cpus, it has {host.cpus:g}: they will compete"
            )
        memory = sum(item.device.type.memory_bytes for item in here)
        if memory > host.memory_bytes:
            notes.append(
                f"lab host {host.name}: devices may use {size(memory)} of memory together, it has "
                f"{size(host.memory_bytes)}: each device's limit holds, but their sum is over-committed"
            )
        without_gpu = [item.device.name for item in here if item.gpus < item.device.type.gpus]
        if without_gpu:
            notes.append(f"lab host {host.name} has no GPU for {join_names(without_gpu)}: they compute on the CPU")
        foreign = [item for item in here if item.device.type.arch != host.arch]
        if foreign:
            names = join_names([item.device.name for item in foreign])
            notes.append(
                f"{names}: {foreign[0].device.type.arch} is not emulated, runs as {host.arch} on lab host {host.name}"
            )
    return notes
