"""The verb doctor: whether this machine can be a lab host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fedsim_runner.contract.cpu_limit import LEAST_CPUS
from fedsim_runner.contract.errors import Exit
from fedsim_runner.contract.link import Link
from fedsim_runner.contract.units import size

from ..app import JsonOption, app, out, print_json

if TYPE_CHECKING:
    from fedsim_runner.testbed.docker.lab_playbooks import Findings


@app.command()
def doctor(as_json: JsonOption = False) -> int:
    """Test what this machine can do, and say what is missing and how to fix it."""
    from fedsim_runner.testbed.docker.lab_playbooks import examine

    found = examine(out(stderr=as_json))
    rows = list(_rows(found))
    fit = all(row["ok"] is not False for row in rows)
    if as_json:
        print_json({"fit": fit, "lab_host": found.lab_host, "links": found.links, "items": rows})
        return Exit.DONE if fit else Exit.LAB
    console = out()
    _print(console, rows)
    console.print("this machine can be a lab host" if fit else "this machine cannot be a lab host yet", style="bold")
    return Exit.DONE if fit else Exit.LAB


def _print(console: Console, rows: list[dict[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("", "item", "found", "needed"):
        table.add_column(column)
    signs = {True: "[green]ok[/]", False: "[red]missing[/]", None: "[yellow]note[/]"}
    for row in rows:
        table.add_row(signs[row["ok"]], *(escape(row[column]) for column in ("item", "found", "needed")))
    console.print(table)
    for row in rows:
        if row["hint"]:
            console.print(f"{row['item']}: {row['hint']}", markup=False, highlight=False)


def _row(item: str, found: object, needed: str, ok: bool | None, hint: str = "") -> dict[str, Any]:
    if isinstance(found, bool):
        found = "yes" if found else "no"
    shown = "-" if found is None else str(found)
    return {"item": item, "found": shown, "needed": needed, "ok": ok, "hint": hint}


def _rows(found: Findings) -> list[dict[str, Any]]:
    host = found.lab_host
    engine = host.get("engine")
    rows = [
        _row("Docker Engine", engine or "none usable", "20.10 or newer", True if engine else None),
        _row("kernel", host.get("kernel"), f"any; {_what_delays()}", True),
        _row("cpus", host.get("cpus"), f"{LEAST_CPUS} per device at least", True),
        _row("memory", size(host.get("memory_bytes")), "what the devices use", True),
        _row("free disk", size(host.get("disk_free_bytes")), "1 GB for images", True),
    ]
    for name, text in (("memory_limit", "memory limits"), ("cpu_limit", "cpu limits"), ("pids_limit", "pid limits")):
        if name in host:
            rows.append(_row(text, host[name], "yes", bool(host[name])))
    rows += [
        _row(str(problem["what"]), "-", "-", False if problem.get("fatal") else None, str(problem["fix"]))
        for problem in found.problems
    ]
    return [*rows, _source_row(), *_link_rows(found)]


def _source_row() -> dict[str, Any]:
    from fedsim_runner.engines.federatedscope.source_state import source_state

    state = source_state()
    return _row("FederatedScope", state.found, f"for its engine; {state.state}", state.ok, state.hint)


def _link_rows(found: Findings) -> list[dict[str, Any]]:
    from fedsim_runner.agent.links import backends

    probe = found.links
    if probe is None:
        return [_row("links", "not tried", "root", None, found.links_reason or "")]
    known = backends.load_all()
    names = [backend.name for backend in known]
    chosen = probe.get("backend")
    rows = []
    not_needed = set()
    for need, owner in backends.all_needs().items():
        has = bool(probe.get(need.piece))
        others = chosen is not None or owner is not known[-1]
        rows.append(
            _row(f"links: {need.label}", has, f"{need.holds}, by {owner.name}", has or (None if others else False))
        )
        if chosen in names and names.index(owner.name) > names.index(chosen):
            not_needed.add(need.piece)
    rows.append(_row("link back end", chosen or "none", " or ".join(names), bool(chosen)))
    for missing in probe.get("missing") or []:
        if missing["what"] not in not_needed:
            ok = None if chosen else False
            rows.append(_row(str(missing["what"]), "missing", "for some back end", ok, str(missing["fix"])))
    return rows


def _what_delays() -> str:
    """Return the kernel features with which the back ends hold more than a rate."""
    from fedsim_runner.agent.links import backends

    needs = [need for backend in backends.load_all() for need in backend.needs([Link(delay_us=1)])]
    return " or ".join(need.label for need in needs)
