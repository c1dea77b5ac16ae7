"""The plan and the inventory of a spec on a fixed lab, byte for byte; the committed sample is one of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fedsim_runner.inventory import build_inventory, write_inventory
from fedsim_runner.lab.host import LabHost
from fedsim_runner.plan.placement import make_plan
from fedsim_runner.plan.plan_data import plan_as_dict
from fedsim_runner.runs.experiment_file import load_experiment

EXPECTED = Path(__file__).parent / "expected"
# The sample is for the smallest machine that users have: two cores.
SMALL = (LabHost("local", 2, 8 * 2**30, "amd64"),)
LAB = tuple(LabHost(f"lab{n}", 16, 64 * 2**30, "amd64", connection="ssh", address=f"198.18.255.{n}") for n in (1, 2))
CASES = [
    ("quickstart", SMALL),
    ("unequal-links", LAB),
]


@pytest.mark.parametrize(("name", "hosts"), CASES, ids=[name for name, _ in CASES])
def test_golden(
    name: str,
    hosts: tuple[LabHost, ...],
    repository: Path,
    tmp_path: Path,
    golden: Callable[[Path, str], None],
) -> None:
    plan = make_plan(load_experiment(repository / f"examples/{name}.yaml"), hosts, name)
    golden(EXPECTED / name / "plan.json", json.dumps(plan_as_dict(plan), indent=1) + "\n")
    write_inventory(build_inventory(plan), tmp_path)
    for path in sorted(tmp_path.rglob("*.*")):
        golden(EXPECTED / name / path.relative_to(tmp_path), path.read_text(encoding="utf-8"))


def test_the_committed_sample_is_up_to_date(
    repository: Path, tmp_path: Path, golden: Callable[[Path, str], None]
) -> None:
    plan = make_plan(load_experiment(repository / "examples/quickstart.yaml"), SMALL, "quickstart")
    write_inventory(build_inventory(plan), tmp_path)
    for path in sorted(tmp_path.rglob("*.*")):
        golden(repository / "inventories/sample" / path.relative_to(tmp_path), path.read_text(encoding="utf-8"))
