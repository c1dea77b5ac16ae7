"""The verb doctor: whether this machine, or the hosts of a lab, can be lab hosts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fedsim_runner.contract.errors import Exit
from fedsim_runner.lab.unread_settings import describe_unread_here
from fedsim_runner.runs.labs import LabOptions

from ..app import JsonOption, app, out, print_json
from ..lab_options import on_a_lab

if TYPE_CHECKING:
    from fedsim_runner.testbed.docker.examination import Findings


@app.command()
@on_a_lab
def doctor(as_json: JsonOption = False, *, lab: LabOptions) -> int:
    """Test what this machine can do, or all hosts of a lab, and say what is missing and how to fix it."""
    from fedsim_runner.runs.labs import hosts_of
    from fedsim_runner.testbed.docker import examination

    hosts, access = hosts_of(lab)
    if access.inventory is not None:
        return _lab(examination.examine_lab(out(stderr=as_json), hosts, access), as_json)
    return _this_machine(examination.examine(out(stderr=as_json)), as_json)


def _this_machine(found: Findings, as_json: bool) -> int:
    from ..doctor_tables import print_rows, rows_of, source_row

    rows = [*rows_of(found), source_row()]
    fit = _is_fit(rows)
    if as_json:
        print_json({"fit": fit, "lab_host": found.lab_host, "links": found.links, "items": rows})
        return Exit.DONE if fit else Exit.LAB
    console = out()
    print_rows(console, rows)
    console.print("this machine can be a lab host" if fit else "this machine cannot be a lab host yet", style="bold")
    return Exit.DONE if fit else Exit.LAB


def _lab(examined: Mapping[str, Findings | str], as_json: bool) -> int:
    from ..doctor_tables import print_lab

    hosts = {name: _as_data(found) for name, found in examined.items()}
    unfit = [name for name, host in hosts.items() if not host["fit"]]
    if as_json:
        print_json({"fit": not unfit, "lab_hosts": hosts})
    else:
        print_lab(out(), examined)
        unread = describe_unread_here()
        if unread and any(isinstance(found, str) for found in examined.values()):
            out().print(unread, style="yellow", markup=False, highlight=False, soft_wrap=True)
        verdict = f"{len(hosts) - len(unfit)} of {len(hosts)} hosts can be lab hosts"
        out().print(verdict + (f"; not yet: {', '.join(unfit)}" if unfit else ""), style="bold")
    return Exit.LAB if unfit else Exit.DONE


def _as_data(found: Findings | str) -> dict[str, Any]:
    from ..doctor_tables import rows_of

    if isinstance(found, str):
        return {"fit": False, "reason": found}
    rows = rows_of(found)
    clock = found.clock
    return {
        "fit": _is_fit(rows),
        "lab_host": found.lab_host,
        "links": found.links,
        "clock": None if clock is None else {"offset_s": clock.offset_s, "bound_s": clock.bound_s},
        "items": rows,
    }


def _is_fit(rows: Sequence[Mapping[str, Any]]) -> bool:
    return all(row["ok"] is not False for row in rows)
