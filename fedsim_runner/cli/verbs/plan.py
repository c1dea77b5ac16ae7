"""The verb plan: print what a run would be, without changing anything."""

from __future__ import annotations

from typing import Annotated

import typer

from fedsim_runner.contract.errors import Exit
from fedsim_runner.runs.labs import LabOptions

from ..app import (
    JsonOption,
    SpecArgument,
    app,
    load,
    out,
    print_json,
)
from ..lab_options import on_a_lab

EventsOption = Annotated[bool, typer.Option("--events", help="Print what happens during the course, in order of time.")]


@app.command()
@on_a_lab
def plan(spec: SpecArgument, as_json: JsonOption = False, events: EventsOption = False, *, lab: LabOptions) -> int:
    """Print devices, addresses, limits, links and the cpu factor; change nothing."""
    from fedsim_runner.plan.plan_data import plan_as_dict
    from fedsim_runner.runs.labs import choose_lab
    from fedsim_runner.runs.planning import plan_only
    from fedsim_runner.testbed.installed import find_testbed

    testbed, _ = choose_lab(find_testbed(), lab)
    made = plan_only(load(spec), testbed)
    if as_json:
        data = plan_as_dict(made)
        print_json(data["timeline"] if events else data)
    elif events:
        from fedsim_runner.console.timeline_view import render_timeline

        out().print(render_timeline(made.experiment.timeline))
    else:
        from fedsim_runner.console.plan_view import render_plan

        out().print(render_plan(made))
    return Exit.DONE
