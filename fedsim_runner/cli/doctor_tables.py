"""What doctor says of lab hosts: items of one host, and a table of many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from fedsim_runner.contract.cpu_limit import LEAST_CPUS
from fedsim_runner.contract.emulation import PACKAGE
from fedsim_runner.contract.lab_network import GET_WIREGUARD
from fedsim_runner.contract.link import Link
from fedsim_runner.contract.units import size

if TYPE_CHECKING:
    from fedsim_runner.testbed.docker.examination import Findings

# Clocks further apart than this make a run's times less certain than the delays of links.
CLOCKS_APART_S = 0.05


def print_rows(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print what was found of one lab host, item by item, and then what helps."""
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


def rows_of(found: Findings) -> list[dict[str, Any]]:
    """The items of a lab host: found, needed, whether it is enough (None: a note), and what helps."""
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
    rows += [*_emulation_rows(host), *_encryption_rows(host)]
    rows += [
        _row(str(problem["what"]), "-", "-", False if problem.get("fatal") else None, str(problem["fix"]))
        for problem in found.problems
    ]
    return [*rows, *_link_rows(found), *_clock_rows(found)]


def _emulation_rows(host: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Whose programs besides its own the kernel runs, which only emulated devices need."""
    emulates = host.get("emulates")
    if emulates is None:
        return []
    hint = f"`apt-get install {PACKAGE}` (Debian and Ubuntu), which a run with such devices does by itself"
    found, ok = (", ".join(emulates), True) if emulates else ("none", None)
    return [_row("qemu-user", found, "for emulate: qemu", ok, "" if ok else hint)]


def _encryption_rows(host: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Whether the kernel encrypts, which only an experiment with ``lab.encrypt`` needs."""
    has = host.get("wireguard")
    if has is None:
        return []
    hint = "" if has else f"only for lab.encrypt: {GET_WIREGUARD}"
    return [_row("WireGuard", has, "for lab.encrypt", has or None, hint)]


def source_row() -> dict[str, Any]:
    """FederatedScope's source, which only the control node needs."""
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
            fix = f"{missing.get('instead', '')}{missing['fix']}"
            rows.append(_row(str(missing["what"]), "missing", "for links", ok, fix))
    return rows


def _what_delays() -> str:
    """Return the kernel features with which the back ends hold more than a rate."""
    from fedsim_runner.agent.links import backends

    needs = [need for backend in backends.load_all() for need in backend.needs([Link(delay_us=1)])]
    return " or ".join(need.label for need in needs)


def _clock_rows(found: Findings) -> list[dict[str, Any]]:
    clock = found.clock
    if clock is None:
        return []
    apart = abs(clock.offset_s) - clock.bound_s > CLOCKS_APART_S
    hint = "have all lab hosts take their time from the same servers (chrony, systemd-timesyncd)" if apart else ""
    needed = f"within {CLOCKS_APART_S * 1000:.0f} ms of the others"
    return [_row("clock", _clock(found), needed, None if apart else True, hint)]


def _clock(found: Findings) -> str:
    clock = found.clock
    return "-" if clock is None else f"{clock.offset_s * 1000:+.2f} ms ±{clock.bound_s * 1000:.2f}"


def print_lab(console: Console, examined: Mapping[str, Findings | str]) -> None:
    """Print a table of all hosts of a lab, then what each lacks or is to know, and what helps."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("", "lab host", "Engine", "kernel", "cpus", "memory", "free disk", "links", "clock"):
        # On a narrow terminal these are wrapped: a version must stay complete.
        long = column in ("Engine", "kernel", "clock")
        table.add_column(column, no_wrap=not long, overflow="fold")
    said: dict[tuple[bool, str], list[str]] = {}
    for name, found in examined.items():
        if isinstance(found, str):
            table.add_row("[red]missing[/]", escape(name), *["-"] * 7)
            said.setdefault((True, f"cannot be reached: {found}"), []).append(name)
            continue
        rows = rows_of(found)
        sign = "[green]ok[/]" if all(row["ok"] is not False for row in rows) else "[red]missing[/]"
        host, links = found.lab_host, found.links
        backend = "not tried" if links is None else links.get("backend") or "none"
        cells = (name, host.get("engine") or "none usable", host.get("kernel"), host.get("cpus"))
        sizes = (size(host.get("memory_bytes")), size(host.get("disk_free_bytes")))
        table.add_row(sign, *(escape(str(cell)) for cell in (*cells, *sizes, backend, _clock(found))))
        for row in rows:
            if row["hint"] or row["ok"] is False:
                text = ": ".join(part for part in (row["item"], row["hint"]) if part)
                said.setdefault((row["ok"] is False, text), []).append(name)
    console.print(table)
    # What many hosts share is said once; what keeps a host out comes first.
    for (fatal, text), names in sorted(said.items(), key=lambda one: not one[0][0]):
        console.print(Text.assemble((f"{', '.join(names)}: ", "red" if fatal else "yellow"), text), soft_wrap=True)
