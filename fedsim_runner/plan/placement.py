"""Turning an experiment and a lab into a plan."""

from __future__ import annotations

from collections.abc import Sequence

from ..lab.host import LabHost
from ..spec.experiment import Experiment
from .addresses import choose_subnet
from .approximate_links import describe_approximations, describe_edges, describe_refusals
from .assignment import assign
from .cpu_factor import choose_cpu_factor, describe_kept_factor, refuse_factor
from .emulation import is_emulated, refuse_two_architectures
from .gpus import give_gpus
from .host_load import describe_tightness, expected_load, refuse_too_little_memory, refuse_too_many
from .model import PlacedDevice, Plan, group_by_host, time_scale_of
from .pins import check_pins
from .placement_error import PlacementError
from .placement_notes import describe_placement
from .silence_note import describe_short_silence
from .speeds import Speeds, cpus_on, describe_speeds
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
    assigned = assign(experiment, hosts, cpus_on)
    in_use = set(assigned.values())
    ordered_hosts = tuple(sorted((host for host in hosts if host.name in in_use), key=lambda host: host.name))
    by_name = {host.name: host for host in ordered_hosts}
    speeds = Speeds(by_name, assigned)
    speeds.refuse_unmeasured(experiment)
    factor = choose_cpu_factor(experiment, speeds)
    refuse_factor(experiment, speeds, factor)
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
            *describe_kept_factor(experiment, speeds, factor),
            *describe_speeds(experiment.devices, speeds, ordered_hosts),
            *describe_untimed(placed, by_name, factor, scale),
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
