"""Planning a run on the lab hosts of a testbed as they are now."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import replace

from ..contract.errors import Exit, FedsimError
from ..contract.names import check_run
from ..engines.course_check import refuse_unsupported
from ..engines.course_messages import expected_messages
from ..engines.protocol import engines_of
from ..lab.host import LabHost
from ..plan.model import Plan
from ..plan.names import join_names
from ..plan.placement import make_plan
from ..plan.traffic import with_traffic
from ..spec.experiment import Experiment
from ..testbed.protocol import Testbed
from ..testbed.values import Lack
from .folder import RUN_NAME

#: How often a run is planned if others come first, and how many seconds more each time lie between two tries at most.
TRIES, APART_S = 6, 0.5


def plan_only(experiment: Experiment, testbed: Testbed, run: str | None = None, beside_others: bool = True) -> Plan:
    """The plan of an experiment; nothing is changed.

    Args:
        experiment: the experiment.
        testbed: where it would run.
        run: the run's name; None: the experiment's.
        beside_others: whether what other runs hold of lab hosts counts; it changes from one call to the next.

    Raises:
        FedsimError: the experiment does not fit the lab, or ``run`` is not a valid name.
    """
    name = experiment.name if run is None else check_run(run, RUN_NAME)
    hosts = testbed.lab_hosts(experiment, name)
    if not beside_others:
        hosts = [replace(host, taken=()) for host in hosts]
    builds_images = testbed.traits.builds_images
    return with_lacks(make_plan_or_refuse(experiment, hosts, name, True, builds_images), testbed)[0]


def plan_run(experiment: Experiment, testbed: Testbed, run: str) -> tuple[Plan, Sequence[Lack]]:
    """A plan, and what the testbed cannot honour.

    Raises:
        FedsimError: the experiment does not fit the lab, or asks for something that its engines do not support.
    """
    hosts, builds_images = testbed.lab_hosts(experiment, run), testbed.traits.builds_images
    return with_lacks(make_plan_or_refuse(experiment, hosts, run, builds_images=builds_images), testbed)


def plan_beside_others(
    experiment: Experiment, testbed: Testbed, run: str, folder_id: str
) -> tuple[Plan, Sequence[Lack]]:
    """Like :func:`plan_run`; what the plan gives its devices is reserved, and no run that is planned meanwhile gets it.

    ``folder_id``: what tells the run's folder from others.

    Raises:
        FedsimError: as for :func:`plan_run`; somebody else has a run of that name; or other runs came first each time.
    """
    for tried in range(TRIES):
        # Two runs that each came first on one of two lab hosts do not try again in step.
        time.sleep(random.uniform(0, tried * APART_S))
        plan, lacks = plan_run(experiment, testbed, run)
        first = testbed.reserve(plan, folder_id)
        if not first:
            return plan, lacks
    names = join_names(sorted(first))
    raise FedsimError(
        f"run {run} was planned {TRIES} times, and each time another run had reserved a part of the lab meanwhile, "
        f"the last time {names}: start it again",
        Exit.LAB,
    )


def with_lacks(plan: Plan, testbed: Testbed) -> tuple[Plan, Sequence[Lack]]:
    """The plan with notes on what the testbed cannot honour; reports repeat a plan's notes."""
    lacks = testbed.lacks(plan)
    # What is said of lab hosts and links does not matter where nothing is limited.
    if not lacks:
        return plan, lacks
    notes = (*plan.experiment.notes, *(lack.what for lack in lacks))
    return replace(plan, loads=(), traffic=None, notes=notes), lacks


def make_plan_or_refuse(
    experiment: Experiment, hosts: Sequence[LabHost], run: str, has_time: bool = False, builds_images: bool = True
) -> Plan:
    """Make a plan.

    Args:
        experiment: the experiment.
        hosts: the lab hosts as they are now.
        run: the run's name.
        has_time: whether a program may be started to find out what is not known of the model.
        builds_images: whether devices have images, and not this machine's packages.

    Raises:
        FedsimError: the experiment does not fit the lab, or asks for something that its engines do not support.
    """
    plan = make_plan(_with_source(experiment), hosts, run)
    notes = refuse_unsupported(plan, builds_images)
    plan = replace(plan, course_notes=notes)
    sizes = expected_messages(plan, has_time)
    return plan if sizes is None else with_traffic(plan, sizes)


def _with_source(experiment: Experiment) -> Experiment:
    """The experiment with the engine source that is in use; without one if no device's engine has a source."""
    found = [engine.source_in_use(experiment.federatedscope_source) for engine in engines_of(experiment.devices)]
    return replace(experiment, federatedscope_source=next(filter(None, found), None))
