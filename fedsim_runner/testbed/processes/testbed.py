"""The same course as plain processes on this machine's loopback: no Docker, no limits, no links."""

from __future__ import annotations

import copy
import json
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from fedsim_runner.console.interrupts import Interrupts
from fedsim_runner.console.progress import Progress
from fedsim_runner.contract.atomic import CannotWriteError, explain
from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.engines.participant_files import render_participants
from fedsim_runner.inventory import build_inventory
from fedsim_runner.lab.host import LabHost
from fedsim_runner.plan import plan_as_dict
from fedsim_runner.plan.model import Plan
from fedsim_runner.results import render_summary, write_report
from fedsim_runner.results.page import try_publish
from fedsim_runner.runs.folder import create_run_folder, give_to_user, new_run_id
from fedsim_runner.runs.inputs import keep_dockerfiles, keep_experiment
from fedsim_runner.runs.manifest import start_manifest, write_manifest
from fedsim_runner.runs.prepare import PROCESSES, RunOptions, make_plan_or_refuse, now
from fedsim_runner.runs.registry import Registry
from fedsim_runner.spec.experiment import Experiment

from .children import Interpreter, Participant, interpreters
from .course import Course

LOOPBACK = "127.0.0.1"
NOTE = "without Docker: no limits and no links were in force, and bytes are not counted; only the course is the same"


def run_without_docker(experiment: Experiment, options: RunOptions, console: Console) -> tuple[Exit, dict[str, Any]]:
    """Run the course as child processes and leave the same run folder. None of them outlives this call.

    Raises:
        FedsimError: nothing was begun: the run's name is taken or wrong, FederatedScope cannot be run here, the data
            cannot be had.
    """
    began = now()
    pythons = interpreters({device.engine for device in experiment.devices}, experiment.federatedscope_source)
    run, folder = _make_folder(experiment, options, began)
    registry = Registry()
    try:
        with registry.hold(run), Progress(console, experiment.total_rounds, unshaped=True, run=run) as progress:
            plan = _plan(experiment, run)
            progress.note(f"plan of run {run}: {len(plan.placed)} plain processes; {NOTE}")
            for item in plan.placed:
                progress.note(f"  {item.device.name}  {item.device.type.name}  {item.device.role}")
            keep_experiment(keep_dockerfiles(experiment, folder), plan.cpu_factor, folder)
            manifest = start_manifest(plan, began, PROCESSES, folder, options.repeats)
            manifest["lab_hosts"] = {}  # made up for the plan
            write_manifest(manifest, folder)
            registry.record(run, folder, PROCESSES, "", "running")
            (folder / "plan.json").write_text(json.dumps(plan_as_dict(plan), indent=1) + "\n", encoding="utf-8")
            code, report = _course(plan, pythons, folder, progress)
            manifest["status"] = report["status"]
            write_manifest(manifest, folder, ended=now())
            if problem := try_publish(folder, report):
                progress.note(problem, "yellow")
            registry.record(run, folder, PROCESSES, "", report["status"])
            console.print(render_summary(report, folder))
    finally:
        give_to_user(folder)
    return code, report


def _course(
    plan: Plan, pythons: Mapping[str, Interpreter], folder: Path, progress: Progress
) -> tuple[Exit, dict[str, Any]]:
    def told(count: int) -> None:
        if count == 1:
            progress.note("interrupted: ending all participants")

    with Interrupts(told) as interrupts:
        progress.stage("participants")
        content = local_device_file(build_inventory(plan).device_files[PROCESSES], folder)
        device_file = folder / "inventory" / "device_files" / f"{PROCESSES}.json"
        device_file.parent.mkdir(parents=True, exist_ok=True)
        device_file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        inputs = folder / "participants"
        inputs.mkdir(exist_ok=True)
        try:
            render_participants(content, inputs)
        except (OSError, ValueError) as error:
            raise FedsimError(f"stage participants failed: {error}", Exit.PROVISIONING) from error
        participants = [
            Participant(
                name=device["name"],
                role=device["role"],
                engine=device["engine"],
                config=inputs / device["name"] / "config.yaml",
                out=folder / "collected" / device["name"],
                start_cpu_s=device["start_cpu_s"],
                address=f"{LOOPBACK}:{device['port']}" if device["role"] == "client" else "",
            )
            for device in content["devices"]
        ]
        progress.stage("course")
        course = Course(plan, participants, pythons, folder, progress.news, progress.snapshot)
        try:
            outcome = course.run(lambda: interrupts.count > 0, interrupts.tell)
        except CannotWriteError as error:
            raise FedsimError(f"the course failed: {error}", Exit.COURSE) from error
        except OSError as error:
            reason = explain(error, Path(error.filename or folder))
            raise FedsimError(f"the course failed: {reason}", Exit.COURSE) from error
        interrupts.tell()
        progress.close(failed=outcome is None or outcome.status != "finished")
    if outcome is None:
        report = write_report(folder, status="interrupted", reason="interrupted in stage course", notes=[NOTE])
        return Exit.INTERRUPTED, report
    report = write_report(folder, status=outcome.status, reason=outcome.reason, notes=[NOTE])
    return (Exit.DONE if outcome.status == "finished" else Exit.COURSE), report


def local_device_file(content: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A device file for processes on loopback: free ports, paths in the run folder, nothing limited."""
    local = copy.deepcopy(dict(content))
    ports = free_ports(len(local["devices"]))
    server = next(index for index, device in enumerate(local["devices"]) if device["role"] == "server")
    nothing = {"rate_bps": None, "delay_us": 0, "jitter_us": 0, "loss": 0.0}
    for device, port in zip(local["devices"], ports, strict=True):
        name = device["name"]
        device.update(address=LOOPBACK, port=port, cpus=None, memory_bytes=None, network=None)
        device["link"] = {"up": nothing, "down": nothing}
        config = device["config"]
        distribute = config["distribute"]
        distribute.update(server_host=LOOPBACK, server_port=ports[server])
        if device["role"] == "client":
            distribute.update(client_host=LOOPBACK, client_port=port)
        config["data"]["file_path"] = str(folder / "participants" / name / "shard.npz")
        config["outdir"] = str(folder / "collected" / name)
        config["use_gpu"] = False
    return local


def free_ports(count: int) -> list[int]:
    """Different ports of the loopback that nobody listens on."""
    with ExitStack() as stack:
        # All are held until all are known, else the kernel may give one twice.
        holders = [stack.enter_context(socket.socket()) for _ in range(count)]
        for holder in holders:
            holder.bind((LOOPBACK, 0))
        return [holder.getsockname()[1] for holder in holders]


def _make_folder(experiment: Experiment, options: RunOptions, began: float) -> tuple[str, Path]:
    wanted = options.run or new_run_id(experiment.name, began)
    try:
        run, folder = create_run_folder(options.runs_dir, wanted, options.run is not None)
    except OSError as error:
        raise FedsimError(f"run folder in {options.runs_dir}: {error.strerror}", Exit.SPEC) from error
    return run, folder.resolve()


def _plan(experiment: Experiment, run: str) -> Plan:
    # Processes share the machine as they are: nothing has to fit.
    enough = sum(device.type.cpus for device in experiment.devices) * 2
    memory = sum(device.type.memory_bytes for device in experiment.devices)
    host = LabHost(name=PROCESSES, cpus=enough, memory_bytes=memory, arch="any")
    plan = make_plan_or_refuse(replace(experiment, cpu_factor=1.0), [host], run)
    return replace(plan, notes=())
