"""Devices as containers on lab hosts, each with its limits and its link; the work is done by playbooks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from fedsim_runner.agent.links.network.wiring import MOST_DEVICES
from fedsim_runner.compute.store import known_for
from fedsim_runner.contract import agent_calls
from fedsim_runner.contract.claim import is_claimed_by_another, own_control, read_claim
from fedsim_runner.contract.engine_address import EngineAddressError, check_engine_of
from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.contract.events import LinkMeasured
from fedsim_runner.contract.names import RUN_PATTERN
from fedsim_runner.contract.paths import STATE_ROOT, StateFolder
from fedsim_runner.lab.access import THIS_MACHINE, LabAccess
from fedsim_runner.lab.ansible_inventory import load_lab
from fedsim_runner.lab.engine_client import engine_url
from fedsim_runner.lab.host import LabHost
from fedsim_runner.lab.usable_hosts import list_lab_hosts
from fedsim_runner.plan.model import Plan
from fedsim_runner.spec.experiment import Experiment

from ..device_names import select_devices
from ..values import Lack, Line, Listener, Order, Traits, UnreachableError
from . import run_facts
from .agent_status import measured_links, merge
from .container_logs import container_lines
from .container_overhead import CONTAINER_OVERHEAD
from .docker_engine import LabEngine, lab_engine
from .exec_session import Streams, run_inside
from .lab_engines import TIMEOUT_S, Connect, LabEngines
from .other_runs import beside_others
from .playbook import PlaybookResult
from .playbook_session import PlaybookSession
from .privileges import check_privileges
from .remote.probe import probe_lab_hosts
from .reserving import can_reserve_here, given_back_if_unfit, reserve_by_play, reserve_here
from .run_inventory import LabInventories, hosts_file_of, inventories, inventory_for
from .stages import STAGES

# Events of a course are fetched about every so many seconds; each fetch costs Ansible 0.03 s of CPU time (ssh: 0.3 s).
EVENTS_EVERY_S = 2
# On a terminal the devices' state is fetched at this interval even if there are no events.
LIVE_POLL_S = 2
LOGS_TIMEOUT_S = 60
MEASURE_TIMEOUT_S = 150

Probe = Callable[[Sequence[LabHost], LabAccess], Sequence[LabHost]]


class DockerTestbed:
    """Lab hosts with a Docker Engine each."""

    traits = Traits(
        name="docker",
        devices_are="containers",
        on_interrupt="interrupted: stopping and tearing down (Ctrl-C again to leave things as they are)",
        stages=STAGES,
        builds_images=True,
    )

    def __init__(
        self,
        hosts: Sequence[LabHost] | None = None,
        connect: Connect | None = None,
        probe: Probe = probe_lab_hosts,
        playbooks: Path | None = None,
        state_root: Path = STATE_ROOT,
        access: LabAccess = THIS_MACHINE,
    ) -> None:
        """Tests replace the known lab hosts, their Engines, the probe of their capacity, and our playbooks."""
        own = (replace(host, state_root=state_root) for host in list_lab_hosts())
        self._hosts = tuple(own if hosts is None else hosts)
        self._connect = partial(lab_engine, access=access) if connect is None else connect
        self._engines = LabEngines(self._hosts, self._connect)
        self._probe = probe
        self._playbooks = playbooks
        self._state_root = state_root
        self._access = access

    def on_lab(self, access: LabAccess) -> DockerTestbed:
        """On the hosts of an inventory; without one, on this machine with other keys."""
        hosts = None if access.inventory is None else load_lab(access)
        return DockerTestbed(hosts, access=access)

    def accept(self, experiment: Experiment) -> Experiment:
        """Return it unchanged if this user may prepare lab hosts."""
        check_privileges(self._hosts, self._access.keys)
        return experiment

    def lab_hosts(self, experiment: Experiment, run: str | None) -> Sequence[LabHost]:
        """All lab hosts as they are now."""
        hosts = [
            replace(
                host,
                overhead=CONTAINER_OVERHEAD,
                most_devices=MOST_DEVICES,
                calibrations=known_for(host.processor),
            )
            for host in self._probe(self._hosts, self._access)
        ]
        there = [host for host in hosts if not host.missing]
        found, _ = LabEngines(there, self._connect).ask(lambda host, engine: beside_others(host, engine, run))
        return [found.get(host.name, host) for host in hosts]  # one without an Engine carries nothing

    def lacks(self, plan: Plan) -> Sequence[Lack]:
        """Nothing that is known so far: what a kernel cannot do ends the run later, unless the user allows it."""
        return ()

    def reserve(self, plan: Plan, folder_id: str) -> Sequence[str]:
        """Write it into the state folder on each lab host, under the lock of that host."""
        if can_reserve_here(plan, self._access):
            return reserve_here(plan, folder_id)
        return reserve_by_play(plan, self._access, folder_id)

    def provision(self, order: Order, listener: Listener) -> int:
        """Run up.yml."""
        with self._session_of(order, listener) as session, given_back_if_unfit(order.plan, self._access):
            return session.run("up.yml").changed

    def open(self, run: str) -> None:
        """Ask the agent of every lab host to open the gate."""
        answers = self._engines.ask_all(lambda _, engine: engine.ask_agent(run, agent_calls.OpenGate())).values()
        if all(answer is None for answer in answers):
            raise FedsimError(f"run {run} has no agent that could open its gate", Exit.COURSE)

    def measure(self, run: str) -> tuple[Sequence[LinkMeasured], Mapping[str, UnreachableError]]:
        """Have the agents measure the links of their lab hosts, one after the other."""
        self._check_engine(run)
        found: list[LinkMeasured] = []
        call = agent_calls.MeasureLinks(again=True)
        on_hosts, silent = self._engines.ask(
            lambda _, engine: engine.ask_agent(run, call), MEASURE_TIMEOUT_S, at_once=1
        )
        answers = {host: answer for host, answer in on_hosts.items() if answer is not None}
        for host, answer in answers.items():
            reason = answer.get("error") or answer.get("reason")
            if reason:
                raise FedsimError(f"the links of run {run} on lab host {host} were not measured: {reason}", Exit.LINKS)
            found += measured_links(answer, host)
        if not answers:
            for error in silent.values():
                raise error
            raise FedsimError(
                f"run {run} has no agent on the lab host that could measure its links",
                Exit.SPEC,
                f"fedsim-provision up FILE --run {run} brings its testbed up",
            )
        return found, silent

    def follow(self, order: Order, listener: Listener) -> None:
        """Run run_experiment.yml: one call of ansible-playbook from provisioning to the report."""
        with self._session_of(order, listener) as session, given_back_if_unfit(order.plan, self._access):
            session.run("run_experiment.yml")

    def collect(self, run: str, folder: Path | None, into: Path, listener: Listener) -> Sequence[str]:
        """Run collect.yml, which goes on without lab hosts that cannot be reached."""
        with inventory_for(run, self._hosts, self._access) as lab:
            result = self._play(run, into, lab, listener, "collect.yml")
        return sorted({failure.host for failure in result.failures if failure.host is not None})

    def destroy(self, run: str, folder: Path | None, listener: Listener) -> Sequence[str]:
        """Run destroy.yml, which finds everything by label. Nothing is named for an Engine that does not answer."""
        with inventory_for(run, self._hosts, self._access) as lab:
            self._play(run, folder or lab.files[0].parent, lab, listener, "destroy.yml")
        try:
            return self.list().get(run, [])
        except UnreachableError:
            return []

    def worked_on_by(self, run: str) -> str | None:
        """Who has claimed it on the lab host that is this machine; on others only the modules look, before a change."""
        state = StateFolder(self._state_root / run)
        claim = read_claim(state) if self._is_here else None
        return str(claim.control) if claim and is_claimed_by_another(state, own_control("fedsim-provision")) else None

    def list(self) -> Mapping[str, Sequence[str]]:
        """Everything that carries a run's label, on all lab hosts. With several of them the names include the host."""
        found: dict[str, list[str]] = {}
        on_hosts, silent = self._engines.ask(lambda _, engine: _with_state_folders(engine))
        for host, runs in on_hosts.items():
            where = "" if len(self._hosts) == 1 else f" on {host}"
            for run, names in runs.items():
                found.setdefault(run, []).extend(f"{name}{where}" for name in names)
        if self._is_here and self._state_root.is_dir():
            # A run that was cut short before its first container has only its state folder.
            for path in sorted(self._state_root.iterdir()):
                if path.is_dir() and RUN_PATTERN.fullmatch(path.name) and not self._is_elsewhere(path):
                    found.setdefault(path.name, []).append(str(path))
        if silent:
            raise UnreachableError("\n".join(map(str, silent.values())), found)
        return found

    def status(self, run: str) -> Mapping[str, Any] | None:
        """Ask the agents while they run, otherwise the Engines."""
        self._check_engine(run)
        there, silent = self._engines.statuses(run)
        if not there:
            return None
        seen = {name: entry for part in there for name, entry in part.devices.items()}
        answers = [part.answer for part in there if part.answer is not None]
        status = merge(seen, answers, any(part.is_silent for part in there))
        if silent and not status.get("reason"):
            status["reason"] = "; ".join(map(str, silent))
        return status

    def record(self, manifest: dict[str, Any], order: Order, ended: bool) -> None:
        """Add Engines and images; once the run has ended also what was collected and the packages in the images."""
        if ended:
            run_facts.record_journal(manifest, order.folder)
            run_facts.record_containers(manifest, order.folder)

        def add(host: LabHost, engine: LabEngine) -> None:
            if ended:
                run_facts.record_packages(manifest, engine, order.run)
            else:
                run_facts.record_engine(manifest, host.name, engine, order.run)

        carry = {host.name for host in order.plan.lab_hosts}
        # One after the other, as all add to the same. What a lab host that is lost has is not known.
        LabEngines([host for host in self._hosts if host.name in carry], self._connect).ask(add, at_once=1)

    def exec(self, run: str, device: str, command: Sequence[str]) -> int:
        """Run it on the lab host that carries the device."""
        self._check_engine(run)
        devices, silent = self._engines.devices(run)
        if device in devices:
            host, item = devices[device]
            if item["State"] != "running":
                raise FedsimError(f"device {device} is not running (its container is {item['State']})", Exit.SPEC)
            sys.stdout.flush()
            with self._connect(host, TIMEOUT_S) as engine:
                return run_inside(engine.client.api, item["Id"], command, Streams.own())
        for error in silent.values():
            raise error
        hint = f"it has {', '.join(sorted(devices))}" if devices else "it has no containers here"
        raise FedsimError(f"run {run} has no device {device}: {hint}", Exit.SPEC)

    def logs(
        self, run: str, devices: Sequence[str], follow: bool, tail: int
    ) -> tuple[Sequence[str], Iterator[Line], Mapping[str, UnreachableError]] | None:
        """Read them from the containers, including those that have ended."""
        self._check_engine(run)
        containers, silent = self._engines.devices(run, LOGS_TIMEOUT_S)
        if not containers or not containers.keys() >= set(devices):
            for error in silent.values():
                raise error
        if not containers:
            return None
        names = select_devices(run, devices, containers)
        places = {name: (containers[name][0], containers[name][1]["Id"]) for name in names}
        lines = container_lines(places, lambda host: self._connect(host, LOGS_TIMEOUT_S), follow, tail)
        return names, lines, {} if devices else silent

    @property
    def _is_here(self) -> bool:
        """Whether this machine is one of the lab hosts."""
        return any(host.connection == "local" for host in self._hosts)

    def _check_engine(self, run: str) -> None:
        """Check that the control node's part of a run is on the Engine that is asked for it.

        Raises:
            EngineAddressError: it is on another one of this machine.
        """
        for host in self._hosts:
            if host.connection == "local":
                check_engine_of(StateFolder(self._state_root / run), engine_url(host.engine_url))

    def _is_elsewhere(self, state_folder: Path) -> bool:
        try:
            self._check_engine(state_folder.name)
        except EngineAddressError:
            return True
        return False

    def _session_of(self, order: Order, listener: Listener) -> PlaybookSession:
        hosts_file = hosts_file_of(order.folder)
        assert hosts_file is not None, "a run folder has its inventory before it is provisioned"
        extra_vars = {
            "fedsim_keep": order.keep,
            "fedsim_reserved": True,
            "fedsim_gather_s": EVENTS_EVERY_S,
            "fedsim_report_page": False,  # written once, when the manifest is complete
            **({"course_wait_s": LIVE_POLL_S} if order.live else {}),
            **({"fedsim_devices": order.devices} if order.devices else {}),
            **({"fedsim_image_base": order.image_base} if order.image_base else {}),
        }
        lab = inventories(hosts_file, self._access, order.plan.lab_hosts)
        return PlaybookSession(order.run, order.folder, lab, listener, extra_vars, self._playbooks)

    def _play(self, run: str, folder: Path, lab: LabInventories, listener: Listener, playbook: str) -> PlaybookResult:
        check_privileges(self._hosts, self._access.keys)
        self._check_engine(run)
        with PlaybookSession(run, folder, lab, listener, {}, self._playbooks) as session:
            return session.run(playbook)


def _with_state_folders(engine: LabEngine) -> dict[str, list[str]]:
    """What runs have on a lab host, by run; a run that was cut short before its first container has only a folder."""
    found = engine.runs()
    for name in engine.state_folders:
        if RUN_PATTERN.fullmatch(name):
            found.setdefault(name, []).append(str(STATE_ROOT / name))
    return found
