"""The verb plan: print what a run would be, without changing anything."""

from __future__ import annotations

from fedsim_runner.contract.errors import Exit

from ..app import (
    JsonOption,
    SpecArgument,
    app,
    load,
    out,
    print_json,
)


@app.command()
def plan(spec: SpecArgument, as_json: JsonOption = False) -> int:
    """Print devices, addresses, limits, links and the cpu factor; change nothing."""
    from fedsim_runner.plan.plan_data import plan_as_dict
    from fedsim_runner.runs.planning import plan_only
    from fedsim_runner.testbed.installed import find_testbed

    made = plan_only(load(spec), find_testbed())
    if as_json:
        print_json(plan_as_dict(made))
    else:
        from fedsim_runner.console.plan_view import render_plan

        out().print(render_plan(made))
    return Exit.DONE
