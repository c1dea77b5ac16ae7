"""The capacity of all lab hosts: of this machine directly, of the others by one play for all."""

from __future__ import annotations

import io
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fedsim_runner.contract.emulation import parse_slowdowns
from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.contract.reservation import Reservation
from fedsim_runner.contract.typed_json import load
from fedsim_runner.lab.access import LabAccess
from fedsim_runner.lab.host import LabHost
from fedsim_runner.lab.local_host import probe_lab_host
from fedsim_runner.lab.unread_settings import describe_unread_here

from ..playbook import Playbook, run_playbook
from ..run_inventory import inventory_for
from ..silent import Silent

NAME = "lab-probe"
RESOLVE_TIMEOUT_S = 10


def probe_lab_hosts(hosts: Sequence[LabHost], access: LabAccess) -> Sequence[LabHost]:
    """The lab hosts as they are now, within what their inventory allows runs to use.

    Raises:
        FedsimError: one cannot be reached; without ``allow_missing``, or none can.
        EngineAddressError: the user's settings of Docker name an Engine that is not on this machine.
    """
    elsewhere = [host for host in hosts if host.connection != "local"]
    facts, failures = _ask(elsewhere, access) if elsewhere else ({}, {})
    if failures and not access.allow_missing:
        raise _missing(failures, "--allow-missing-hosts goes on without")
    found = []
    for host in hosts:
        if host.connection == "local":
            found.append(within(host, probe_lab_host(host)))
        elif host.name in facts:
            found.append(within(host, _as_probed(host, facts[host.name])))
        else:
            found.append(replace(host, missing=failures[host.name]))
    if all(host.missing for host in found):
        raise _missing(failures, "there is no other in this lab")
    if len(found) == 1:
        return found
    return [host if host.missing else replace(host, lab_address=address_of(host)) for host in found]


def within(stated: LabHost, found: LabHost) -> LabHost:
    """What was found on a host, up to what its inventory states and by the name that it has for the processor."""
    gpu_ids = tuple(one for one in found.gpu_ids if not stated.gpu_ids or one in stated.gpu_ids)
    return replace(
        found,
        cpus=min(found.cpus, stated.cpus or found.cpus),
        memory_bytes=min(found.memory_bytes, stated.memory_bytes or found.memory_bytes),
        gpu_ids=gpu_ids,
        processor=stated.processor or found.processor,
    )


def address_of(host: LabHost) -> str:
    """The IPv4 address at which the other lab hosts reach it: the stated one, else that of its name for ssh.

    Raises:
        FedsimError: there is none.
    """
    if host.lab_address is not None:
        return host.lab_address
    hint = "state it in the lab's inventory: fedsim_lab_address"
    if host.ssh is None:
        raise FedsimError(f"lab host {host.name}: at which address do the other hosts reach it?", Exit.SPEC, hint)
    name = host.ssh.address
    found = _resolve(name) or _resolve(_name_for_ssh(host))
    if found is None or found.startswith("127."):
        what = "has no IPv4 address" if found is None else f"is {found}, which is each machine itself"
        raise FedsimError(f"lab host {host.name}: {name} {what}", Exit.SPEC, hint)
    return found


def _resolve(name: str) -> str | None:
    try:
        return str(socket.getaddrinfo(name, None, socket.AF_INET)[0][4][0])
    except OSError:
        return None


def _name_for_ssh(host: LabHost) -> str:
    """What ssh_config(5) makes of the name."""
    assert host.ssh is not None
    command = host.ssh.command(("-G",), "")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=RESOLVE_TIMEOUT_S)
    except (OSError, subprocess.SubprocessError):
        return host.ssh.address
    names = (line.partition(" ")[2] for line in done.stdout.splitlines() if line.startswith("hostname "))
    return next(names, host.ssh.address)


def _ask(hosts: Sequence[LabHost], access: LabAccess) -> tuple[Mapping[str, Mapping[str, Any]], Mapping[str, str]]:
    """What the probe found, and why it found nothing, each by host."""
    log = io.StringIO()
    with inventory_for(NAME, hosts, access) as lab:
        variables = {"fedsim_run": NAME}
        call = Playbook("probe.yml", lab.files, NAME, (), variables, ("lab_host",), lab.hosts, lab.keys, lab.way)
        result = run_playbook(call, log, Silent())
    found = {name: answer["lab_host"] for name, answer in result.by_host.items()}
    return found, {host.name: result.why(host.name) for host in hosts if host.name not in found}


def _as_probed(host: LabHost, facts: Mapping[str, Any]) -> LabHost:
    return replace(
        host,
        cpus=float(facts["cpus"]),
        memory_bytes=int(facts["memory_bytes"]),
        arch=str(facts["arch"]),
        gpu_ids=tuple(facts["gpu_ids"]),
        memory_free_bytes=int(facts["memory_free_bytes"]),
        tasks=int(facts["tasks"]),
        reservations=tuple(load(Reservation, entry, "reservations") for entry in facts["reservations"]),
        emulates=None if facts["emulates"] is None else tuple(facts["emulates"]),
        slowdowns=parse_slowdowns(facts["slowdowns"]),
        processor=str(facts["processor"]),
    )


def _missing(failures: Mapping[str, str], hint: str) -> FedsimError:
    lines = "\n".join(f"  {name}: {reason}" for name, reason in failures.items())
    count = "a lab host cannot be used" if len(failures) == 1 else f"{len(failures)} lab hosts cannot be used"
    unread = describe_unread_here()
    return FedsimError("\n".join(filter(None, (f"{count}:", lines, unread, hint))), Exit.LAB)
