"""Preparing a run: from a checked experiment to a run folder that a testbed can work with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..contract.paths import INVENTORY, PLAN
from ..contract.plain_folder import require_plain
from ..inventory import build_inventory, write_inventory
from ..plan.model import Plan
from ..plan.plan_data import plan_as_dict
from ..spec.experiment import Experiment
from ..testbed.protocol import Testbed
from ..testbed.values import Lack
from .folder import forget_results
from .inputs import hide_as, keep_dockerfiles, keep_experiment, keep_initial_model
from .left_over import left_over
from .manifest import folder_id_of
from .options import RunOptions
from .planning import plan_beside_others
from .reservation import Reserved
from .trust import refuse_foreign_inventory


@dataclass(frozen=True)
class Prepared:
    """A run that is ready to start.

    Attributes:
        existed: the testbed already has something of it (a second ``up``).
        folder_id: what tells its folder, and copies of that, from others of its name.
        lacks: parts of the plan that the testbed cannot honour.
    """

    plan: Plan
    folder: Path
    existed: bool
    folder_id: str
    lacks: Sequence[Lack] = ()

    @property
    def run(self) -> str:
        return self.plan.run


def prepare_run(experiment: Experiment, options: RunOptions, reserved: Reserved, testbed: Testbed) -> Prepared:
    """Plan a run that is reserved, and write the files that testbeds read.

    Raises:
        FedsimError: the experiment does not fit the lab.
        OSError: the folder cannot be written.
    """
    if options.allow_unshaped:
        experiment = replace(experiment, allow_unshaped=True)
    run, folder = reserved.run, reserved.folder
    try:
        require_plain(folder)
        refuse_foreign_inventory(folder)
        hide_as(experiment.path, folder)
        existed = bool(left_over(testbed, run))
        kept = keep_initial_model(keep_dockerfiles(experiment, folder), folder)
        folder_id = folder_id_of(folder)
        plan, lacks = plan_beside_others(kept, testbed, run, folder_id)
        if not reserved.is_new:
            forget_results(folder)
        write_run_files(plan, folder)
    except BaseException:
        if reserved.is_new:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    return Prepared(plan, folder, existed, folder_id, lacks)


def write_run_files(plan: Plan, folder: Path) -> None:
    """Write experiment.yaml, inputs/, plan.json and inventory/ of a run.

    Raises:
        OSError: the folder cannot be written.
    """
    keep_experiment(plan.experiment, plan.cpu_factor, folder)
    (folder / PLAN).write_text(json.dumps(plan_as_dict(plan), indent=1) + "\n", encoding="utf-8")
    write_inventory(build_inventory(plan), folder / INVENTORY)
