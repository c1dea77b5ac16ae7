"""A testbed: whatever turns a plan into devices that take part in a course. One folder for each kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ..lab.host import LabHost
from ..plan.model import Plan
from ..spec.experiment import Experiment
from .values import Lack, Line, Listener, Order, Traits


class Testbed(Protocol):
    """Without arguments it is what the control node knows. Work that ends early raises :class:`~.values.Stopped`."""

    traits: Traits

    def accept(self, experiment: Experiment) -> Experiment:
        """The experiment as it can be run here; a FedsimError says what this user or machine lacks."""

    def lab_hosts(self, experiment: Experiment, run: str | None) -> Sequence[LabHost]:
        """What a plan may use, probed now; an existing ``run`` finds its own addresses free."""

    def lacks(self, plan: Plan) -> Sequence[Lack]:
        """What of the plan cannot be held. Plan and report repeat it."""

    def provision(self, order: Order, listener: Listener) -> int:
        """Up to the closed gate, changing what differs; how much that was. The calling thread outlives the run."""

    def open(self, run: str) -> None:
        """Let the participants of a provisioned run go; safe twice."""

    def follow(self, order: Order, listener: Listener) -> None:
        """The course to its end, from wherever the run stands: what is missing of provisioning and opening is done
        first. What it made lies in the run folder then and, without ``keep``, nothing is left elsewhere."""

    def collect(self, run: str, folder: Path | None, into: Path, listener: Listener) -> None:
        """Fetch what a run has so far; ``folder``: the run folder, if it is known."""

    def destroy(self, run: str, folder: Path | None, listener: Listener) -> Sequence[str]:
        """Remove everything of a run and name what is still there; safe twice, and without its folder."""

    def list(self) -> Mapping[str, Sequence[str]]:
        """Runs that have something here, with the names of it."""

    def status(self, run: str) -> Mapping[str, Any] | None:
        """State, round and devices of a run; None if nothing of it is here."""

    def record(self, manifest: dict[str, Any], order: Order, ended: bool) -> None:
        """Add what only the testbed knows, as far as it can be obtained before and after its end."""

    def exec(self, run: str, device: str, command: Sequence[str]) -> int:
        """Run a command inside a device with this process's terminal; its exit code."""

    def logs(
        self, run: str, devices: Sequence[str], follow: bool, tail: int
    ) -> tuple[Sequence[str], Iterator[Line]] | None:
        """What devices log, and their names (all if none are named); None if only the run folder may have it."""
