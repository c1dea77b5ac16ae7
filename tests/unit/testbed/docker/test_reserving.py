"""Two runs that are planned in the same moment: the second is planned again, on one lab host and on several."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fedsim_runner.contract.claim import own_control
from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.contract.paths import StateFolder
from fedsim_runner.contract.process_identity import start_time
from fedsim_runner.contract.reservation import Reservation, read_reservations, reserve
from fedsim_runner.lab.access import LabAccess
from fedsim_runner.plan.model import PlacedDevice, Plan
from fedsim_runner.plan.placement import make_plan
from fedsim_runner.runs import planning
from fedsim_runner.runs.planning import plan_beside_others
from fedsim_runner.testbed.docker.reserving import reserve_by_play, reserve_here, wanted_of
from tests.builders import experiment, lab_host
from tests.fake_testbed import FakeTestbed

MINE = own_control("fedsim-provision")
HERS = replace(MINE, process=f"{os.getppid()}:{start_time(os.getppid())}", user="ann")


def test_a_plan_reserves_what_it_gives_on_each_lab_host() -> None:
    plan = make_plan(experiment(clients=3), [lab_host("a"), lab_host("b")], "r")
    wanted = wanted_of(plan)
    assert sorted(wanted) == ["a", "b"]
    assert sum(one.cpus for one in wanted.values()) == pytest.approx(sum(item.cpus for item in plan.placed))
    assert [one.memory_bytes for one in wanted.values()] == [load.memory_bytes for load in plan.loads]


class Counted(tuple[PlacedDevice, ...]):
    """Devices of a plan that count how often somebody goes through them."""

    passes = 0

    def __iter__(self) -> Iterator[PlacedDevice]:
        type(self).passes += 1
        return super().__iter__()


def test_what_is_reserved_is_found_in_one_pass_however_many_lab_hosts_there_are() -> None:
    plan = make_plan(experiment(clients=9), [lab_host(name) for name in "abcde"], "r")
    wanted_of(replace(plan, placed=Counted(plan.placed)))
    assert Counted.passes == 1


def test_on_this_machine_the_second_plan_is_refused_until_it_knows_the_first(tmp_path: Path) -> None:
    host = lab_host(state_root=tmp_path)
    first, second = (make_plan(experiment(), [host], run) for run in ("first", "second"))
    assert reserve_here(first, "1") == []
    assert reserve_here(second, "2") == [f"run first of user {MINE.user}"]
    now = replace(host, reservations=tuple(read_reservations(tmp_path)))
    assert reserve_here(make_plan(experiment(), [now], "second"), "2") == []


def test_a_run_is_planned_again_until_no_other_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "APART_S", 0.0)
    testbed = FakeTestbed()
    testbed.came_first = [["run first of user ann"]]
    assert plan_beside_others(experiment(), testbed, "r", "1")[0].run == "r"
    testbed.came_first = [["run first of user ann"]] * planning.TRIES
    with pytest.raises(
        FedsimError, match=r"run r was planned 6 times.* run first of user ann: start it again"
    ) as always:
        plan_beside_others(experiment(), testbed, "r", "1")
    assert always.value.exit is Exit.LAB


class TwoHosts:
    """An inventory whose two lab hosts are folders of this machine."""

    def __init__(self, root: Path) -> None:
        self.roots = {name: root / name for name in ("a", "b")}
        lines = [
            f"{name} ansible_connection=local fedsim_become=false fedsim_state_root={path}"
            for name, path in self.roots.items()
        ]
        inventory = root / "lab.ini"
        inventory.write_text("\n".join(["[lab_hosts]", *lines]) + "\n", encoding="utf-8")
        self.access = LabAccess(inventory=inventory)

    def plan(self, run: str) -> Plan:
        hosts = [
            replace(lab_host(name), reservations=tuple(read_reservations(path))) for name, path in self.roots.items()
        ]
        return make_plan(experiment(clients=3), hosts, run)

    def reserved(self) -> dict[str, list[str]]:
        return {name: [one.run for one in read_reservations(path)] for name, path in self.roots.items()}


@pytest.mark.ansible
def test_on_several_lab_hosts_a_plan_is_reserved_on_all_or_on_none(tmp_path: Path) -> None:
    lab = TwoHosts(tmp_path)
    mine = lab.plan("mine")
    reserve(StateFolder(lab.roots["b"] / "hers"), HERS, Reservation("hers", gpu_ids=("0",)), lambda _: True)
    assert reserve_by_play(mine, lab.access, "1") == ["run hers of user ann"]
    assert lab.reserved() == {"a": [], "b": ["hers"]}
    assert reserve_by_play(lab.plan("mine"), lab.access, "1") == []
    assert lab.reserved() == {"a": ["mine"], "b": ["hers", "mine"]}
    with pytest.raises(FedsimError, match=r"lab host b: run hers is being worked on by .* of user ann") as busy:
        reserve_by_play(lab.plan("hers"), lab.access, "")
    assert busy.value.exit is Exit.SPEC
    assert lab.reserved()["a"] == ["mine"]
    with pytest.raises(FedsimError, match=r"lab host b: there is a run hers already, of user ann") as taken:
        reserve_by_play(lab.plan("hers"), lab.access, "2")
    assert taken.value.exit is Exit.SPEC
    assert lab.reserved() == {"a": ["mine"], "b": ["hers", "mine"]}
