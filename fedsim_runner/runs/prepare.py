"""Preparing a run: from a checked experiment to a run folder that a testbed can work with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..contract.errors import Exit, FedsimError
from ..contract.paths import INVENTORY, PLAN
from ..inventory import build_inventory, write_inventory
from ..plan import plan_as_dict
from ..plan.model import Plan
from ..spec.experiment import Experiment
from ..testbed.protocol import Testbed
from ..testbed.values import Lack
from .folder import create_run_folder, new_run_id
from .inputs import keep_dockerfiles, keep_experiment
from .left_over import left_over
from .options import RunOptions
from .planning import plan_run


@dataclass(frozen=True)
class Prepared:
    """A run that is ready to start.

    Attributes:
        existed: the testbed already has something of it (a second ``up``).
        lacks: parts of the plan that the testbed cannot honour.
    """

    plan: Plan
    folder: Path
    existed: bool
    lacks: Sequence[Lack] = ()

    @property
    def run(self) -> str:
        return self.plan.run


def prepare_run(experiment: Experiment, options: RunOptions, now: float, testbed: Testbed) -> Prepared:
    """Plan, reserve the address range, create the run folder and write the files that testbeds read.

    Raises:
        FedsimError: the name is taken or wrong, the experiment does not fit the lab, the folder cannot be written.
    """
    if options.allow_unshaped:
        experiment = replace(experiment, allow_unshaped=True)
    try:
        run, folder = create_run_folder(
            options.runs_dir, options.run or new_run_id(experiment.name, now), options.run is not None
        )
    except OSError as error:
        raise FedsimError(f"run folder in {options.runs_dir}: {error.strerror}", Exit.SPEC) from error
    folder = folder.resolve()
    try:
        existed = bool(left_over(testbed, run))
        plan, lacks = plan_run(keep_dockerfiles(experiment, folder), testbed, run)
        write_run_files(plan, folder)
    except BaseException:
        if options.run is None:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    return Prepared(plan, folder, existed, lacks)


def write_run_files(plan: Plan, folder: Path) -> None:
    """Write experiment.yaml, inputs/, plan.json and inventory/ of a run.

    Raises:
        OSError: the folder cannot be written.
    """
    keep_experiment(plan.experiment, plan.cpu_factor, folder)
    (folder / PLAN).write_text(json.dumps(plan_as_dict(plan), indent=1) + "\n", encoding="utf-8")
    write_inventory(build_inventory(plan), folder / INVENTORY)
