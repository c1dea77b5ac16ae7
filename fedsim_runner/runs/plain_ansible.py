"""The inventory for a run with plain Ansible, from the experiment file alone."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from ..contract.claim import RunBusyError
from ..contract.errors import Exit, FedsimError
from ..contract.paths import DEVICE_FILES, INVENTORY
from ..contract.plain_folder import require_plain
from ..inventory import build_inventory, is_written, write_inventory
from ..testbed.installed import find_testbed
from .experiment_file import load_experiment
from .hold import who_holds
from .options import DEFAULT_RUNS_DIR
from .planning import plan_only


def experiment_as_inventory(spec: Path, run: str | None, run_folder: Path | None) -> Mapping[str, Any]:
    """The inventory of an experiment in Ansible's YAML form, with its device files written.

    The same file, lab and run give the same inventory at every call, so that a later playbook finds what an earlier one
    made. Files in the run folder are rewritten only if their content changes.

    Args:
        spec: the experiment file.
        run: run id; None: the experiment's name.
        run_folder: None: ``runs/RUN`` below the current folder.

    Raises:
        SpecErrors: the experiment file is wrong.
        RunBusyError: another process works on this run, whose inventory is a different one.
        FedsimError: the experiment does not fit the lab, or the run folder cannot be written.
    """
    testbed = find_testbed()
    plan = plan_only(load_experiment(spec), testbed, run, beside_others=False)
    folder = (run_folder or DEFAULT_RUNS_DIR / plan.run).resolve()
    if folder.is_dir():
        require_plain(folder)
    inventory = build_inventory(plan)
    # Ansible asks for an inventory before its modules can find out that the run is claimed.
    who = testbed.worked_on_by(plan.run) or who_holds(plan.run)
    if who is not None and not is_written(inventory, folder / INVENTORY):
        raise RunBusyError(plan.run, who)
    try:
        hosts_file = write_inventory(inventory, folder / INVENTORY)
    except OSError as error:
        raise FedsimError(f"{error.filename or folder}: {error.strerror}", Exit.SPEC) from error
    hosts = deepcopy(dict(inventory.hosts))
    hosts["all"]["vars"]["fedsim_run_dir"] = str(folder)
    for name, variables in hosts["all"]["children"]["lab_hosts"]["hosts"].items():
        # Here the inventory's folder is the experiment file's folder.
        variables["fedsim_device_file"] = str(hosts_file.parent / DEVICE_FILES / f"{name}.json")
    return hosts
