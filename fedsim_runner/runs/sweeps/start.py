"""A sweep of an experiment file: its runs are read, checked and planned before the first one starts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from ...contract.errors import Exit, FedsimError
from ...spec.experiment import Experiment
from ...testbed.protocol import Testbed
from ...yamlfile.spec_errors import SpecError, SpecErrors
from ..experiment_file import load_experiment
from ..lifecycle import run_experiment
from ..options import RunOptions
from ..planning import make_plan_or_refuse
from .execution import Compared, Schedule, ScheduledRun, execute_sweep
from .members import Member, SweepRequest, members_of


def run_sweep(
    spec: Path, request: SweepRequest, options: RunOptions, console: Console, testbed: Testbed, command: Sequence[str]
) -> tuple[Exit, Compared]:
    """Execute the sweep that ``request`` describes; see :func:`~fedsim_runner.runs.sweeps.execution.execute_sweep`.

    ``command``: the words of the command that executes it.

    Raises:
        FedsimError: nothing was started (the file or the options are wrong, another process executes the sweep), or
            what a run needs is not there.
    """
    members = members_of(request)
    experiments = load_all(spec, members, testbed.traits.limits)
    check_points(members, experiments, testbed)

    def execute(experiment: Experiment, own_options: RunOptions) -> Exit:
        return run_experiment(experiment, own_options, console, testbed)[0]

    asked = {
        "inputs_sha256": _digest(experiments[0]),
        "seeds": list(request.seeds),
        # A list: the numbers of the points follow from the order of the keys.
        "grid": [[grid.key, list(grid.values)] for grid in request.grids],
        "target": request.target,
    }
    runs = [
        ScheduledRun(
            member.suffix,
            {one.key: one.value for one in member.varied},
            member.described,
            partial(execute, experiment),
        )
        for member, experiment in zip(members, experiments, strict=True)
    ]
    schedule = Schedule(experiments[0].name, asked, runs, testbed, command)
    return execute_sweep(schedule, options, console)


def _digest(experiment: Experiment) -> str:
    """Return a digest of what the user wrote, in the experiment file and in those that it names."""
    configs = [dict(experiment.config), *(dict(device.config) for device in experiment.devices)]
    written = [experiment.source, configs, experiment.data.sha256, experiment.requirements]
    return hashlib.sha256(json.dumps(written, sort_keys=True, default=str).encode()).hexdigest()


def load_all(spec: Path, members: Sequence[Member], limits: bool = True) -> list[Experiment]:
    """Read and check the experiment of every run; ``limits``: whether the testbed has any.

    Raises:
        FedsimError: there are mistakes; the text lists all, each once.
    """
    errors: dict[tuple[Any, ...], SpecError] = {}
    by_point: dict[int | None, Experiment] = {}
    seeds: set[int | None] = set()
    experiments = []
    for member in members:
        # What contradicts a seed does so at any point, and to read a file may mean to read gigabytes of data.
        if member.number not in by_point or member.seed not in seeds:
            try:
                by_point[member.number] = load_experiment(spec, member.overrides, limits)
            except SpecErrors as wrong:
                for error in wrong.errors:
                    # The same mistake of a key is there with all its values.
                    errors.setdefault((error.file if error.line else "", error.line, error.path, error.message), error)
                continue
            except OSError as error:
                raise FedsimError(f"{spec}: {error.strerror}", Exit.SPEC) from error
            seeds.add(member.seed)
        found = by_point[member.number]
        seed = found.seed if member.seed is None else member.seed
        experiments.append(replace(found, seed=seed, overrides=member.overrides))
    if errors:
        raise SpecErrors(errors.values()).counted(str(spec))
    return experiments


def check_points(members: Sequence[Member], experiments: Sequence[Experiment], testbed: Testbed) -> None:
    """Plan every point, with the first seed, so that a sweep does not end at its last one.

    Raises:
        FedsimError: one does not fit the lab, or asks for something that its engines do not support.
    """
    for member, experiment in zip(members, experiments, strict=True):
        if member.seed == members[0].seed:
            try:
                accepted = testbed.accept(experiment)
                # As each run is planned: a program for each point, to find out a model's size, would take minutes.
                make_plan_or_refuse(accepted, testbed.lab_hosts(accepted, None), accepted.name)
            except FedsimError as error:
                raise FedsimError(f"with {member.described}:\n{error}", error.exit) from error
