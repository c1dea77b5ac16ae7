"""From a checked experiment to a run folder that Ansible can work from."""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..engines.federatedscope.source import resolve_source, unreachable
from ..inventory import build_inventory, write_inventory
from ..lab import Reservations, local_lab_host
from ..spec.experiment import Experiment
from ..lab.host import LabHost
from ..plan.model import Plan
from ..plan import TESTBED_RANGE, make_plan, plan_as_dict
from ..testbed.docker.engine import NoEngineError, lab_engine
from ..engines.course_check import refuse_unsupported
from ..contract.errors import Exit, FedsimError
from ..contract.names import check_run
from .folder import RUN_NAME, create_run_folder, new_run_id
from .inputs import keep_dockerfiles, keep_experiment
from ..user_folders import state_home

DEFAULT_RUNS_DIR = Path("runs")
LAB_HOST = "local"
# The lab host of a run without Docker.
PROCESSES = "processes"


@dataclass(frozen=True)
class Repeated:
    """An earlier run that is run again: its name and its folder, wherever that lies now."""

    run: str
    folder: Path


@dataclass(frozen=True)
class RunOptions:
    """What the user asks for besides the experiment file. ``run`` None: a name is made up."""

    run: str | None = None
    runs_dir: Path = DEFAULT_RUNS_DIR
    keep: bool = False
    allow_unshaped: bool = False
    image_base: str | None = None
    devices: str | None = None
    repeats: Repeated | None = None


@dataclass(frozen=True)
class Prepared:
    """A run that can begin. ``existed``: the lab host already has something of it (a second ``up``)."""

    plan: Plan
    folder: Path
    hosts_file: Path
    existed: bool

    @property
    def run(self) -> str:
        return self.plan.run

    @property
    def lab_hosts(self) -> tuple[str, ...]:
        """Names of the lab hosts that every playbook has to reach."""
        return tuple(host.name for host in self.plan.lab_hosts)


def plan_only(experiment: Experiment, run: str | None = None) -> Plan:
    """The plan of an experiment on this machine; nothing is touched.

    Raises:
        FedsimError: it does not fit the lab, or ``run`` is no name.
    """
    host = _without_own_network(local_lab_host(LAB_HOST), run)
    return make_plan_or_refuse(experiment, [host], _name(run) or experiment.name)


def prepare_run(experiment: Experiment, options: RunOptions, now: float) -> Prepared:
    """Plan on this machine, hold the address range, make the run folder and write what the playbooks read.

    Raises:
        FedsimError: the name is taken or wrong, the experiment does not fit the lab, the folder cannot be written.
    """
    if options.allow_unshaped:
        experiment = replace(experiment, allow_unshaped=True)
    try:
        run, folder = create_run_folder(
            options.runs_dir, options.run or new_run_id(experiment.name, now), options.run is not None
        )
    except OSError as error:
        raise FedsimError(f"run folder in {options.runs_dir}: {error.strerror}", Exit.SPEC) from error
    folder = folder.resolve()
    try:
        plan, existed = _reserved_plan(keep_dockerfiles(experiment, folder), run)
        hosts_file = write_run_files(plan, folder)
    except BaseException:
        if options.run is None:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    return Prepared(plan, folder, hosts_file, existed)


def write_run_files(plan: Plan, folder: Path) -> Path:
    """experiment.yaml, inputs/, plan.json and inventory/ of a run; returns the inventory's hosts file.

    Raises:
        OSError: the folder cannot be written.
    """
    keep_experiment(plan.experiment, plan.cpu_factor, folder)
    (folder / "plan.json").write_text(json.dumps(plan_as_dict(plan), indent=1) + "\n", encoding="utf-8")
    return write_inventory(build_inventory(plan), folder / "inventory")


def reservations() -> Reservations:
    """Address ranges held by this user's runs."""
    return Reservations(state_home() / "reservations")


def root_command(command: Sequence[str]) -> list[str] | None:
    """``command`` as this user calls it as root without being asked for a password; None: that is not possible."""
    if os.geteuid() == 0:
        return [*command]
    sudo = shutil.which("sudo")
    if sudo is not None and subprocess.run([sudo, "-n", "true"], capture_output=True).returncode == 0:
        return [sudo, "-n", *command]
    return None


def check_privileges() -> None:
    """The playbooks become root on the lab host: see that they can.

    Raises:
        FedsimError: this user is not root and sudo asks for a password or is not there.
    """
    if root_command([]) is not None:
        return
    raise FedsimError(
        "the lab host is prepared as root (links, state folder), and this user is neither root nor may use sudo "
        "without a password: run the command with sudo; the files of the run will still be yours. "
        "(Group docker is enough for status, logs and exec.)",
        Exit.LAB,
    )


def _reserved_plan(experiment: Experiment, run: str) -> tuple[Plan, bool]:
    held = reservations()
    with held.locked():
        host = local_lab_host(LAB_HOST)
        host = replace(host, networks=(*host.networks, *held.networks()))
        mine = _without_own_network(host, run)
        plan = make_plan_or_refuse(experiment, [mine], run)
        held.reserve(run, plan.subnet)
    return plan, mine is not host


def make_plan_or_refuse(experiment: Experiment, hosts: Sequence[LabHost], run: str) -> Plan:
    """A plan.

    Raises:
        FedsimError: the experiment does not fit the lab, or asks for what its engines do not do.
    """
    plan = make_plan(_with_source(experiment), hosts, run)
    refuse_unsupported(plan)
    return plan


def _with_source(experiment: Experiment) -> Experiment:
    """The experiment with the source of FederatedScope that is in use; without one where no device uses it."""
    if all(device.engine != "federatedscope" for device in experiment.devices):
        return replace(experiment, federatedscope_source=None)
    source = resolve_source(experiment.federatedscope_source)
    problem = source.problem()
    if problem is not None:
        raise FedsimError(unreachable(source, problem), Exit.LAB)
    return replace(experiment, federatedscope_source=source.text)


def _without_own_network(host: LabHost, run: str | None) -> LabHost:
    """For a run that is up, a lab host on which only the run's own subnet is free: a second ``up`` changes nothing."""
    if run is None:
        return host
    try:
        with lab_engine() as engine:
            own = engine.subnet(run)
    except NoEngineError:
        return host
    if own is None:
        return host
    subnet = ipaddress.IPv4Network(own)
    others = [network for network in host.networks if not ipaddress.IPv4Network(network).overlaps(subnet)]
    if subnet.subnet_of(TESTBED_RANGE):
        others += map(str, TESTBED_RANGE.address_exclude(subnet))
    return replace(host, networks=tuple(others))


def _name(run: str | None) -> str | None:
    return None if run is None else check_run(run, RUN_NAME)


def now() -> float:
    """Unix seconds."""
    return time.time()
