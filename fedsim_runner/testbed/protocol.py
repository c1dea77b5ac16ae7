"""A testbed turns a plan into devices that take part in a course. There is one folder for each kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ..contract.events import LinkMeasured
from ..lab.access import LabAccess
from ..lab.host import LabHost
from ..plan.model import Plan
from ..spec.experiment import Experiment
from .values import Lack, Line, Listener, Order, Traits, UnreachableError


class Testbed(Protocol):
    """Made without arguments, from what the control node knows. If work ends early, it raises ``Stopped``."""

    traits: Traits

    def on_lab(self, access: LabAccess) -> Testbed:
        """The same testbed on another lab than this machine; a FedsimError says that it cannot be on one."""

    def accept(self, experiment: Experiment) -> Experiment:
        """Return the experiment as it can be run here; a FedsimError says what this user or machine lacks."""

    def lab_hosts(self, experiment: Experiment, run: str | None) -> Sequence[LabHost]:
        """The lab hosts that a plan may use, probed now; what an existing ``run`` takes counts as free."""

    def lacks(self, plan: Plan) -> Sequence[Lack]:
        """The parts of the plan that cannot be honoured. Plan and report repeat them."""

    def reserve(self, plan: Plan, folder_id: str) -> Sequence[str]:
        """Reserve what the plan gives its devices; or name the runs that came first, with which it does not count.

        A run of the same name with another folder that somebody else has there is refused with a FedsimError."""

    def provision(self, order: Order, listener: Listener) -> int:
        """Change what differs, up to the closed gate, and count the changes. The calling thread outlives the run."""

    def open(self, run: str) -> None:
        """Open the gate of a provisioned run; safe to call twice."""

    def measure(self, run: str) -> tuple[Sequence[LinkMeasured], Mapping[str, UnreachableError]]:
        """Measure the links of a provisioned run, in device time; and why lab hosts do not answer, by host. A
        FedsimError says why nothing can be measured."""

    def follow(self, order: Order, listener: Listener) -> None:
        """Follow the course to its end. Missing steps of provisioning and opening are done first. Then all results are
        in the run folder and, without ``keep``, nothing is left elsewhere."""

    def collect(self, run: str, folder: Path | None, into: Path, listener: Listener) -> Sequence[str]:
        """Fetch what a run has produced so far, and name the lab hosts that could not be reached. ``folder``: the run
        folder, if it is known."""

    def destroy(self, run: str, folder: Path | None, listener: Listener) -> Sequence[str]:
        """Remove everything of a run and name what is left; safe to call twice, and without its folder."""

    def worked_on_by(self, run: str) -> str | None:
        """The process that has claimed a run here and is alive, for people; None if there is none but this one."""

    def list(self) -> Mapping[str, Sequence[str]]:
        """Runs that have something here, each with the names of what it has."""

    def status(self, run: str) -> Mapping[str, Any] | None:
        """State, round and devices of a run; None if it has nothing here."""

    def record(self, manifest: dict[str, Any], order: Order, ended: bool) -> None:
        """Add the facts that only the testbed knows, once before and once after the end of the run."""

    def exec(self, run: str, device: str, command: Sequence[str]) -> int:
        """Run a command inside a device with this process's terminal; return its exit code."""

    def logs(
        self, run: str, devices: Sequence[str], follow: bool, tail: int
    ) -> tuple[Sequence[str], Iterator[Line], Mapping[str, UnreachableError]] | None:
        """Names of the devices (all if none is given), their log lines, and why lab hosts do not answer, by host; None
        if only the run folder may have any lines."""
