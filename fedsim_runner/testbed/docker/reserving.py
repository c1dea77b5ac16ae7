"""Reserving on all lab hosts of a plan what it gives its devices, before anything of the run is made there."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from fedsim_runner.contract.claim import own_control
from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.contract.paths import StateFolder
from fedsim_runner.contract.reservation import Reservation, give_back, reserve
from fedsim_runner.lab.access import LabAccess
from fedsim_runner.lab.host import LabHost
from fedsim_runner.plan.model import Plan, group_by_host

from ..stages import exit_of, stage_named
from ..values import Stopped
from .playbook import Playbook, run_playbook
from .run_inventory import inventory_for
from .silent import Silent
from .stages import STAGES


def wanted_of(plan: Plan, folder_id: str = "") -> Mapping[str, Reservation]:
    """What the plan gives the devices of each of its lab hosts, by host; with the id of the run's folder."""
    memory = {load.lab_host.name: load.memory_bytes for load in plan.loads}
    by_host = group_by_host(plan.placed)
    found = {}
    for host in plan.lab_hosts:
        placed = by_host.get(host.name, ())
        found[host.name] = Reservation(
            plan.run,
            cpus=round(sum(item.cpus for item in placed), 4),
            memory_bytes=memory.get(host.name, 0),
            gpu_ids=tuple(gpu for item in placed for gpu in item.gpu_ids),
            folder_id=folder_id,
        )
    return found


def reserve_here(plan: Plan, folder_id: str) -> Sequence[str]:
    """Reserve on this machine, the plan's only lab host; return the runs that came first.

    ``folder_id``: what tells the run's folder from others.

    Raises:
        RunBusyError: another process works on the run.
        RunOfAnotherError: somebody else has a run of that name.
        FedsimError: the state folder cannot be written.
    """
    (host,) = plan.lab_hosts
    known = tokens_of(host)
    state = StateFolder(host.state_root / plan.run)
    try:
        found = reserve(
            state,
            own_control("fedsim-provision"),
            wanted_of(plan, folder_id)[host.name],
            lambda other: other.token not in known,
        )
    except OSError as error:
        raise FedsimError(f"state folder {state.path}: {error.strerror}", Exit.LAB) from error
    return [str(other) for other in found]


def reserve_by_play(plan: Plan, access: LabAccess, folder_id: str) -> Sequence[str]:
    """Reserve on all lab hosts at once; return the runs that came first on one of them.

    ``folder_id``: what tells the run's folder from others.

    Raises:
        FedsimError: a lab host cannot be reached, another process works on the run, or somebody else has one of that
            name.
    """
    log, wanted = io.StringIO(), wanted_of(plan, folder_id)
    reservations = {
        host.name: {
            "cpus": wanted[host.name].cpus,
            "memory_bytes": wanted[host.name].memory_bytes,
            "gpu_ids": list(wanted[host.name].gpu_ids),
            "known": sorted(tokens_of(host)),
            "folder_id": folder_id,
        }
        for host in plan.lab_hosts
    }
    variables: dict[str, Any] = {"fedsim_run": plan.run, "fedsim_reservations": reservations}
    with inventory_for(plan.run, plan.lab_hosts, access) as lab:
        call = Playbook(
            "reserve.yml", lab.files, plan.run, lab.hosts, variables, ("unknown",), lab.hosts, lab.keys, lab.way
        )
        result = run_playbook(call, log, Silent())
    if result.status != "successful":
        asked = None if result.failure is None else result.failure.exit_code
        where = f"lab host {result.failure.host}: " if result.failure and result.failure.host else ""
        text = "the reservation gave no reason" if result.failure is None else result.failure.text
        raise FedsimError(f"{where}{text}", exit_of(stage_named(STAGES, "reserve"), asked))
    return sorted({name for answer in result.results for name in answer["unknown"]})


@contextmanager
def given_back_if_unfit(plan: Plan, access: LabAccess) -> Iterator[None]:
    """Give back what is reserved on this machine if a play in the block ends in a stage that leaves nothing else.

    On other lab hosts the state folder is found, and a teardown follows.
    """
    try:
        yield
    except Stopped as stopped:
        if not stage_named(STAGES, stopped.stage).leaves and can_reserve_here(plan, access):
            give_back(StateFolder(plan.lab_hosts[0].state_root / plan.run), own_control("fedsim-provision"))
        raise


def can_reserve_here(plan: Plan, access: LabAccess) -> bool:
    """Whether this machine is the plan's only lab host and of no inventory, and this process may write there."""
    if access.inventory is not None:
        return False
    return os.geteuid() == 0 and len(plan.lab_hosts) == 1 and plan.lab_hosts[0].connection == "local"


def tokens_of(host: LabHost) -> frozenset[str]:
    """What tells the reservations that the plan knows on a lab host from others."""
    return frozenset(reservation.token for reservation in host.reservations)
