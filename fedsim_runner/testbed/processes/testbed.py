"""The same course as plain processes on this machine's loopback: no Docker, no limits, no links."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from fedsim_runner.contract.atomic import CannotWriteError, explain
from fedsim_runner.contract.claim import RUN_VARIABLE
from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.contract.events import LinkMeasured
from fedsim_runner.contract.host_capacity import memory_of_this_machine
from fedsim_runner.contract.paths import DEVICE_FILES, INVENTORY, PARTICIPANTS
from fedsim_runner.inventory import build_inventory
from fedsim_runner.lab.access import LabAccess
from fedsim_runner.lab.host import LabHost
from fedsim_runner.lab.usable_hosts import list_lab_hosts
from fedsim_runner.plan.model import Plan
from fedsim_runner.plan.names import join_names
from fedsim_runner.spec.device_settings import experiment_document
from fedsim_runner.spec.experiment import Experiment
from fedsim_runner.spec.without_limits import report_impossible
from fedsim_runner.yamlfile.spec_errors import SpecErrors

from ..orphans import end_processes
from ..values import Failure, Lack, Line, Listener, Order, Stopped, Traits, UnreachableError
from .children import interpreters, living_participants
from .loopback import local_device_file, participants_of
from .process_course import Course
from .stages import STAGES

NOTE = "without Docker: no limits and no links were in force, and bytes are not counted; only the course is the same"


class ProcessTestbed:
    """This machine as it is. The participants die with the process that holds this object, however that ends."""

    traits = Traits(
        name="processes",
        devices_are="plain processes",
        on_interrupt="interrupted: ending all participants",
        stages=STAGES,
        limits=False,
    )

    def __init__(self) -> None:
        self._courses: dict[str, Course] = {}

    def on_lab(self, access: LabAccess) -> ProcessTestbed:
        """Not possible: the processes run here."""
        raise FedsimError("without Docker a course runs on this machine alone, and on no lab", Exit.SPEC)

    def accept(self, experiment: Experiment) -> Experiment:
        """Return it unscaled: nothing is scaled where nothing is limited. Nothing can happen to what is not there.

        Raises:
            FedsimError: it asks for what only limits, links and containers make possible.
        """
        document = experiment_document(experiment, [])
        report_impossible(experiment, document)
        if document.errors:
            raise SpecErrors(document.errors).counted(str(experiment.path or "the experiment file"))
        interpreters({device.engine for device in experiment.devices}, experiment.federatedscope_source)
        # There is one lab host, which has no name in a lab.
        devices = tuple(replace(device, lab_host=None, lab_labels={}) for device in experiment.devices)
        return replace(experiment, cpu_factor=1.0, devices=devices)

    def lab_hosts(self, experiment: Experiment, run: str | None) -> Sequence[LabHost]:
        """The control node, which carries all devices: processes share it as it is, and only its memory is a limit."""
        cpus = sum(device.type.cpus for device in experiment.devices) * 2
        memory = memory_of_this_machine()
        return [replace(host, cpus=cpus, memory_bytes=memory, arch="any") for host in list_lab_hosts()]

    def lacks(self, plan: Plan) -> Sequence[Lack]:
        """Everything except the course."""
        lacks = [Lack(NOTE, "for limits, links and bytes run it with Docker")]
        if plan.experiment.requirements:
            names = ", ".join(plan.experiment.requirements)
            what = f"federatedscope.requirements are not installed without Docker: the interpreter must have {names}"
            lacks.append(Lack(what, "install them for federatedscope.python of the user configuration"))
        emulated = [device.name for device in plan.experiment.devices if device.type.emulated_by]
        if emulated:
            names = join_names(emulated)
            lacks.append(
                Lack(f"nothing is emulated without Docker: {names} run as this machine's own", "run it with Docker")
            )
        return lacks

    def reserve(self, plan: Plan, folder_id: str) -> Sequence[str]:
        """Nothing: processes share this machine as it is, whatever else runs."""
        return ()

    def provision(self, order: Order, listener: Listener) -> int:
        """Write the data and start all participants, which wait at the gate."""
        listener.stage("participants")
        folder = order.folder
        (host,) = order.plan.lab_hosts
        content = local_device_file(build_inventory(order.plan).device_files[host.name].as_dict(), folder)
        device_file = folder / INVENTORY / DEVICE_FILES / f"{host.name}.json"
        device_file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        inputs = folder / PARTICIPANTS
        inputs.mkdir(exist_ok=True)
        try:
            _render(content, inputs)
        except (OSError, ValueError) as error:
            raise FedsimError(f"stage participants failed: {error}", Exit.PROVISIONING) from error
        if listener.cancelled():
            raise Stopped("participants")
        experiment = order.plan.experiment
        engines = {device.engine for device in experiment.devices}
        pythons = interpreters(engines, experiment.federatedscope_source)
        self.destroy(order.run, folder, listener)
        course = Course(order.plan, participants_of(content, folder), pythons, folder)
        self._courses[order.run] = course
        with _explained(folder):
            course.start(listener)
        return len(content["devices"])

    def open(self, run: str) -> None:
        """Open the gate of a run that this object has provisioned."""
        if run not in self._courses:
            raise FedsimError(f"run {run} is not waiting here", Exit.COURSE)
        self._courses[run].open()

    def measure(self, run: str) -> tuple[Sequence[LinkMeasured], Mapping[str, UnreachableError]]:
        """Not possible: all processes share the loopback, and nothing limits it."""
        raise FedsimError(f"run {run} has plain processes: it has no links to measure", Exit.SPEC)

    def follow(self, order: Order, listener: Listener) -> None:
        """Supervise the course to its end, and end all participants."""
        try:
            if order.run not in self._courses:
                self.provision(order, listener)
            listener.stage("course")
            with _explained(order.folder):
                course = self._courses[order.run]
                course.open()
                outcome = course.follow(listener)
        finally:
            self.destroy(order.run, order.folder, listener)
        if outcome is None:
            raise Stopped("course")
        if outcome.status != "finished":
            raise Stopped("verdict", Failure("verdict", None, None, str(outcome.reason)))

    def collect(self, run: str, folder: Path | None, into: Path, listener: Listener) -> Sequence[str]:
        """Copy the run folder, into which participants write."""
        if folder is not None and folder != into:
            # It may be inside the folder.
            def itself(where: str, names: list[str]) -> list[str]:
                return [name for name in names if Path(where) / name == into]

            shutil.copytree(folder, into, ignore=itself, dirs_exist_ok=True)
        return ()

    def destroy(self, run: str, folder: Path | None, listener: Listener) -> Sequence[str]:
        """End all processes of the run."""
        course = self._courses.pop(run, None)
        if course is not None:
            course.end()
        if self.list().get(run):
            end_processes(RUN_VARIABLE, run)
        return self.list().get(run, ())

    def worked_on_by(self, run: str) -> str | None:
        """None: processes die with the command that started them, and that holds the run on this machine."""
        return None

    def list(self) -> Mapping[str, Sequence[str]]:
        """Names of devices whose processes are alive."""
        return living_participants()

    def status(self, run: str) -> Mapping[str, Any] | None:
        """Only the devices that are alive: the course itself is followed in another process."""
        living = self.list().get(run)
        if not living:
            return None
        return {"state": "running", "devices": {name: {"state": "running", "exit_code": None} for name in living}}

    def record(self, manifest: dict[str, Any], order: Order, ended: bool) -> None:
        """Nothing to add: the manifest already describes the control node."""

    def exec(self, run: str, device: str, command: Sequence[str]) -> int:
        """Not possible: there is nothing to enter in a plain process."""
        raise FedsimError(f"run {run} has plain processes: nothing can be run inside device {device}", Exit.SPEC)

    def logs(
        self, run: str, devices: Sequence[str], follow: bool, tail: int
    ) -> tuple[Sequence[str], Iterator[Line], Mapping[str, UnreachableError]] | None:
        """None: participants write into the run folder."""
        return None


def _render(content: Mapping[str, Any], inputs: Path) -> None:
    # Data sets import scikit-learn, which takes a second.
    from fedsim_runner.engines.participant_files import render_participants

    render_participants(content, inputs)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Report a failure to write as the reason why the course failed."""
    try:
        yield
    except CannotWriteError as error:
        raise FedsimError(f"the course failed: {error}", Exit.COURSE) from error
    except OSError as error:
        reason = explain(error, Path(error.filename or folder))
        raise FedsimError(f"the course failed: {reason}", Exit.COURSE) from error
