"""A fake testbed that only records calls: for tests of the life cycle, and as the simplest testbed of the contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.contract.events import LinkMeasured
from fedsim_runner.lab.access import LabAccess
from fedsim_runner.lab.host import LabHost
from fedsim_runner.plan.model import Plan
from fedsim_runner.spec.experiment import Experiment
from fedsim_runner.testbed.stages import Stage
from fedsim_runner.testbed.values import Failure, Lack, Line, Listener, Order, Stopped, Traits, UnreachableError

STAGES = (
    Stage("preflight", Exit.LAB, leaves=False),
    Stage("devices", collect=True),
    Stage("course", Exit.COURSE, collect=True, live=True),
    Stage("verdict", Exit.COURSE, leaves=False),
)
LACK = Lack("the devices are imaginary", "use a testbed that makes them")


class FakeTestbed:
    """``calls`` records the calls; it fails in stage ``fails_in``, and is stopped in stage ``interrupted_in``.

    ``came_first``: what its calls of ``reserve`` return; then nothing. ``stays``: names that ``destroy`` cannot remove.
    """

    traits = Traits("fake", "thoughts", "interrupted: forgetting", STAGES)

    def __init__(
        self, fails_in: str | None = None, interrupted_in: str | None = None, stays: Sequence[str] = ()
    ) -> None:
        self.calls: list[str] = []
        self.came_first: list[Sequence[str]] = []
        self.there: dict[str, list[str]] = {}
        self.workers: dict[str, str] = {}
        self.measured: list[LinkMeasured] = []
        self.open_gates: set[str] = set()
        self.out_of_reach: list[str] = []
        self._fails_in = fails_in
        self._interrupted_in = interrupted_in
        self._stays = list(stays)

    def on_lab(self, access: LabAccess) -> FakeTestbed:
        return self

    def accept(self, experiment: Experiment) -> Experiment:
        return experiment

    def lab_hosts(self, experiment: Experiment, run: str | None) -> Sequence[LabHost]:
        return [LabHost("one", 64, 2**40, "amd64"), LabHost("two", 64, 2**40, "amd64")]

    def lacks(self, plan: Plan) -> Sequence[Lack]:
        return (LACK,)

    def reserve(self, plan: Plan, folder_id: str) -> Sequence[str]:
        return self.came_first.pop(0) if self.came_first else ()

    def provision(self, order: Order, listener: Listener) -> int:
        self.calls.append("provision")
        self._pass("preflight", listener)
        self.there.setdefault(order.run, [])
        self._pass("devices", listener, order)
        self.there[order.run] = [item.device.name for item in order.plan.placed]
        return len(order.plan.placed)

    def open(self, run: str) -> None:
        self.open_gates.add(run)

    def measure(self, run: str) -> tuple[Sequence[LinkMeasured], Mapping[str, UnreachableError]]:
        self.calls.append("measure")
        if run not in self.there:
            raise FedsimError(f"run {run} has nothing to measure", Exit.SPEC)
        return list(self.measured), {name: UnreachableError(f"{name} is away") for name in self.out_of_reach}

    def follow(self, order: Order, listener: Listener) -> None:
        if order.run not in self.there:
            self.provision(order, listener)
        self.open(order.run)
        self.calls.append("follow")
        self._pass("course", listener)
        if not order.keep:
            self.there.pop(order.run)
        self._pass("verdict", listener)

    def collect(self, run: str, folder: Path | None, into: Path, listener: Listener) -> Sequence[str]:
        self.calls.append("collect")
        return self.out_of_reach

    def destroy(self, run: str, folder: Path | None, listener: Listener) -> Sequence[str]:
        self.calls.append("destroy")
        self.there.pop(run, None)
        return list(self._stays)

    def worked_on_by(self, run: str) -> str | None:
        return self.workers.get(run)

    def list(self) -> Mapping[str, Sequence[str]]:
        return {run: names for run, names in self.there.items() if names}

    def status(self, run: str) -> Mapping[str, Any] | None:
        return {"state": "provisioned", "devices": {}} if self.there.get(run) else None

    def record(self, manifest: dict[str, Any], order: Order, ended: bool) -> None:
        manifest["fake"] = "ended" if ended else "there"

    def exec(self, run: str, device: str, command: Sequence[str]) -> int:
        return 0

    def logs(
        self, run: str, devices: Sequence[str], follow: bool, tail: int
    ) -> tuple[Sequence[str], Iterator[Line], Mapping[str, UnreachableError]] | None:
        return None

    def _pass(self, stage: str, listener: Listener, makes: Order | None = None) -> None:
        listener.stage(stage)
        if makes is not None:
            self.there[makes.run].append("half of it")
        if stage == self._interrupted_in or listener.cancelled():
            raise Stopped(stage)
        if stage == self._fails_in:
            raise Stopped(stage, Failure(stage, None, "two", "it is broken"))
