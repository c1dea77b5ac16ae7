"""Building the inventory as data; nothing is written here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ..catalog.engines import engine_facts
from ..contract.device_file import (
    CourseSettings,
    DataSettings,
    Device,
    DeviceFile,
    FederatedScopeSettings,
    Lab,
    LabMember,
    Network,
    ReferenceTime,
)
from ..contract.link import Links
from ..contract.link_variation import Variation
from ..contract.paths import DEVICE_INPUTS, INITIAL_MODEL
from ..contract.peer_ranges import Peers
from ..lab.host import LabHost
from ..plan.emulation import arch_of, slowdown
from ..plan.model import PlacedDevice, Plan
from ..plan.timed_steps import time_step
from ..plan.varying_links import first_links, variation_of
from ..plan.wall_time import plan_in_wall_time
from ..spec.testbed_keys import common_config, participant_config, saved_model


@dataclass(frozen=True)
class Inventory:
    """``hosts`` in Ansible's YAML inventory form; ``device_files`` by lab host name, read by the batch modules."""

    hosts: Mapping[str, Any]
    device_files: Mapping[str, DeviceFile]


class _DeviceFiles(Mapping[str, DeviceFile]):
    """The device files of a plan, each made when it is asked for: those of a thousand lab hosts fill the memory."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._hosts = {host.name: host for host in plan.lab_hosts}
        self._here = plan.placed_by_host()
        self._memory = {load.lab_host.name: load.memory_bytes for load in plan.loads}

    @cached_property
    def _common(self) -> DeviceFile:
        return build_common_part(self._plan)

    @cached_property
    def _peers(self) -> Peers:
        """All devices, as others see them."""
        plan = self._plan
        return Peers.of((item.lab_host, item.device.name, item.address, *_link(plan, item)) for item in plan.placed)

    def __getitem__(self, name: str) -> DeviceFile:
        host = self._hosts[name]
        devices = tuple(_build_device(self._plan, host, item) for item in self._here[name])
        return replace(
            self._common,
            lab_host=name,
            devices=devices,
            peers=self._peers.without(name),
            expected_memory_bytes=self._memory.get(name, 0),
        )

    def __contains__(self, name: object) -> bool:
        return name in self._hosts

    def __iter__(self) -> Iterator[str]:
        return iter(self._hosts)

    def __len__(self) -> int:
        return len(self._hosts)


def build_inventory(plan: Plan) -> Inventory:
    """Make devices inventory hosts with the few variables people look up; everything else is in the device files.

    What is there is what the lab hosts put in force: in wall time, also where the plan is in that of the devices.
    """
    plan = plan_in_wall_time(plan)
    return Inventory(hosts=_build_hosts(plan), device_files=_DeviceFiles(plan))


def _build_hosts(plan: Plan) -> dict[str, Any]:
    by_type: dict[str, dict[str, Any]] = {}
    by_role: dict[str, dict[str, Any]] = {"role_client": {}, "role_server": {}}
    by_host: dict[str, dict[str, Any]] = {f"lab_host_{_group_name(host.name)}": {} for host in plan.lab_hosts}
    for item in plan.placed:
        device = item.device
        by_type.setdefault(f"type_{_group_name(device.type.name)}", {})[device.name] = {
            "fedsim_address": item.address,
            "fedsim_type": device.type.name,
            "fedsim_lab_host": item.lab_host,
        }
        by_role[f"role_{device.role}"][device.name] = {}
        by_host[f"lab_host_{_group_name(item.lab_host)}"][device.name] = {}
    groups = {**by_host, **by_role, **dict(sorted(by_type.items()))}
    lab_hosts = {host.name: _name_device_file(host) | connection_variables(host) for host in plan.lab_hosts}
    return {
        "all": {
            "vars": {
                "fedsim_experiment": plan.experiment.name,
                "fedsim_run": plan.run,
                **_build_lab_variables(plan),
            },
            "children": {
                "lab_hosts": {"hosts": lab_hosts},
                "devices": {"children": {name: {"hosts": members} for name, members in groups.items()}},
            },
        }
    }


def _name_device_file(host: LabHost) -> dict[str, Any]:
    return {"fedsim_device_file": f"{{{{ inventory_dir }}}}/device_files/{host.name}.json"}


def connection_variables(host: LabHost) -> dict[str, Any]:
    """The variables with which Ansible reaches a lab host; those of a host elsewhere are in the lab's inventory."""
    if host.connection == "local":
        # Interpreter discovery may pick a Python without the Docker SDK, or a broken one.
        return {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    return {}


def _group_name(name: str) -> str:
    """Turn a name into an Ansible group name, which has no dashes or dots."""
    return name.replace("-", "_").replace(".", "_")


def build_common_part(plan: Plan) -> DeviceFile:
    """Make a device file of no lab host and without devices: what all lab hosts of a run have in common."""
    experiment = plan.experiment
    dockerfiles = [Path(name) for name in {device.type.dockerfile for device in experiment.devices}]
    clients = experiment.clients
    return DeviceFile(
        run=plan.run,
        experiment=experiment.name,
        seed=experiment.seed,
        lab_host="",
        network=Network(plan.subnet),
        link_backend=experiment.link_backend,
        congestion_control=experiment.congestion_control,
        allow_unshaped=experiment.allow_unshaped,
        verify=experiment.verify,
        cpu_factor=plan.cpu_factor,
        time=experiment.time,
        time_factor=plan.time_scale.factor,
        course=CourseSettings(
            timeout_s=experiment.course.timeout_s,
            silence_timeout_s=experiment.course.silence_timeout_s,
            on_client_failure=experiment.course.on_client_failure,
            min_clients=experiment.course.min_clients,
            round_deadline_s=experiment.course.round_deadline_s,
            round_quorum=experiment.course.round_quorum,
            round_grace=experiment.course.round_grace,
            target=experiment.course.target,
            total_rounds=experiment.total_rounds,
            server=experiment.server.name,
            client_num=len(clients),
            clients_talk=any(
                engine_facts(engine).clients_talk(experiment.config) for engine in {one.engine for one in clients}
            ),
            initial_model=experiment.initial_model,
            config=common_config(experiment.config, experiment.seed, len(clients)),
        ),
        data=DataSettings(
            dataset=experiment.data.dataset,
            split=experiment.data.split,
            alpha=experiment.data.alpha,
            test_fraction=experiment.data.test_fraction,
            seed=experiment.seed,
            layout=experiment.data.layout,
            path=experiment.data.path,
            label=experiment.data.label,
            header=experiment.data.header,
            sha256=experiment.data.sha256,
            rendered=experiment.data.rendered,
            tree=experiment.data.tree,
            targets=experiment.data.targets,
            parts=experiment.data.parts,
        ),
        federatedscope=FederatedScopeSettings(
            experiment.federatedscope_source, experiment.patches_off, experiment.requirements
        ),
        dockerfile_roots=tuple(sorted({str(path.parent) for path in dockerfiles if path.is_absolute()})),
        clients=tuple(device.name for device in clients),
        devices=(),
        timeline=experiment.timeline,
        topology=experiment.topology,
        tracks=experiment.tracks,
        lab=_build_lab(plan),
        timing_s=_timing_s(plan),
    )


def _build_lab(plan: Plan) -> Lab | None:
    """The lab hosts that carry devices, if they know each other's addresses; None if there is only one."""
    in_use = {item.lab_host for item in plan.placed}
    members = [
        LabMember(host.name, host.lab_address) for host in plan.lab_hosts if host.name in in_use and host.lab_address
    ]
    if len(members) < 2:
        return None
    return Lab(hosts=tuple(members), server=plan.placed_server.lab_host, encrypt=plan.experiment.encrypt)


def _build_lab_variables(plan: Plan) -> dict[str, Any]:
    """What plays need to know of a run on several lab hosts: whose agent judges, and how long a silent one is asked."""
    lab = _build_lab(plan)
    if lab is None:
        return {}
    # Lab hosts fall silent by their own clocks.
    silence_s = round(plan.time_scale.to_device(plan.experiment.course.silence_timeout_s), 6)
    return {"fedsim_server_host": lab.server, "fedsim_silence_timeout_s": silence_s}


def _timing_s(plan: Plan) -> float:
    """How long before the gate opens devices begin to time their reference steps; 0: none does."""
    hosts = {host.name: host for host in plan.lab_hosts}
    timings = (time_step(item, hosts[item.lab_host], plan.cpu_factor, plan.time_scale) for item in plan.placed)
    return round(max((timing.whole_s for timing in timings), default=0.0), 1)


def _reference_time(plan: Plan, host: LabHost, item: PlacedDevice) -> ReferenceTime | None:
    if item.speed is None:
        return None
    timing = time_step(item, host, plan.cpu_factor, plan.time_scale)
    seconds = round(item.speed.seconds, 6)
    return ReferenceTime(item.speed.reference, seconds, timing.parts, timing.corrects, timing.together)


def _build_device(plan: Plan, host: LabHost, item: PlacedDevice) -> Device:
    device = item.device
    facts = engine_facts(device.engine)
    link, variation = _link(plan, item)
    return Device(
        name=device.name,
        type=device.type.name,
        role=device.role,
        engine=device.engine,
        program=facts.program,
        index=item.index,
        address=item.address,
        port=item.port,
        image=_name_image(item),
        cpus=item.cpus,
        threads=item.threads,
        start_cpu_s=round(facts.start_cpu_s * slowdown(device, host), 1),
        memory_bytes=device.type.memory_bytes,
        disk_bytes=device.type.disk_bytes,
        pids=device.type.pids,
        least_pids=facts.least_pids(len(plan.placed) - 1),
        read_bps=device.type.read_bps,
        write_bps=device.type.write_bps,
        gpus=item.gpus,
        gpu_ids=item.gpu_ids,
        arch=arch_of(item, host),
        network=device.network.name,
        link=link,
        config=device_config(plan, item),
        variation=variation,
        emulated=item.emulated,
        compute=_reference_time(plan, host, item),
        energy=device.type.energy,
    )


def device_config(plan: Plan, item: PlacedDevice) -> dict[str, Any]:
    """The part of the configuration that is this device's alone, with its place in the course."""
    server = plan.placed_server
    # The server binds to all addresses, clients connect to it by name.
    host = "0.0.0.0" if item is server else plan.experiment.server.name
    place = participant_config(
        item.device.role,
        (item.device.name, item.port),
        (host, server.port),
        use_gpu=item.gpus > 0,
        saves=saved_model(plan.experiment.config),
        restores=f"{DEVICE_INPUTS}/{INITIAL_MODEL}" if plan.experiment.initial_model else None,
    )
    return {**item.device.config, **place}


def _name_image(item: PlacedDevice) -> str:
    """The image's logical name. A GPU needs another build of torch, which not every engine uses."""
    engine = engine_facts(item.device.engine)
    build = "-cuda" if engine.cuda and item.gpus else ""
    return f"{Path(item.device.type.dockerfile).name}-{engine.name}{build}"


def _link(plan: Plan, item: PlacedDevice) -> tuple[Links, Variation | None]:
    """A device's link when the gate opens, and how it varies from then on."""
    return first_links(item.device, plan.experiment), variation_of(item.device, plan.experiment)
