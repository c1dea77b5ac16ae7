"""The verb calibrate: measure how fast lab hosts compute, so that devices can be as fast as their types say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from fedsim_runner.contract.errors import Exit
from fedsim_runner.runs.labs import LabOptions

from ..app import ImageBaseOption, JsonOption, app, out, print_json
from ..engine_names import engine_names
from ..lab_options import on_a_lab

if TYPE_CHECKING:
    from fedsim_runner.testbed.docker.calibration.calibrate import Calibrated

EngineOption = Annotated[
    list[str] | None,
    typer.Option(
        "--engine",
        metavar="ENGINE",
        help="Engine whose reference is measured, repeated or separated by commas: light, federatedscope; light if "
        "left out.",
        show_default=False,
    ),
]
#: Lab hosts with the same model of processor whose steps differ by more are named.
EQUAL_WITHIN = 0.1
AgainOption = Annotated[bool, typer.Option("--again", help="Measure what is known, too.")]


@app.command()
@on_a_lab
def calibrate(
    engine: EngineOption = None,
    again: AgainOption = False,
    image_base: ImageBaseOption = None,
    as_json: JsonOption = False,
    *,
    lab: LabOptions,
) -> int:
    """Measure how fast lab hosts compute a reference step; what is known is not measured again."""
    from fedsim_runner.runs.labs import hosts_of
    from fedsim_runner.testbed.docker.calibration import calibrate as calibration

    engines = _engines(engine or ["light"])
    hosts, access = hosts_of(lab)
    found = calibration.calibrate(out(stderr=as_json), image_base, engines, hosts, access, again)
    done = [one for one in found if isinstance(one, calibration.Calibrated)]
    failed = [one for one in found if not isinstance(one, calibration.Calibrated)]
    if as_json:
        print_json({"calibrations": [_as_data(one) for one in done], "failures": [str(error) for error in failed]})
    else:
        _print(done)
        for error in failed:
            out().print(f"[bold red]error:[/] {error}", highlight=False)
    return Exit.LAB if failed else Exit.DONE


def _engines(named: Sequence[str]) -> list[str]:
    from fedsim_runner.compute.references import REFERENCES

    known = sorted(facts.engine for facts in REFERENCES.values())
    return engine_names(named, known, "has no reference")


def _as_data(one: Calibrated) -> dict[str, Any]:
    from fedsim_runner.contract.typed_json import dump

    data: dict[str, Any] = dump(one.calibration)
    uncertainty, busy = one.calibration.uncertainty, one.calibration.was_busy
    return {"lab_host": one.lab_host, **data, "uncertainty": uncertainty, "busy": busy, "known": one.took_s is None}


def _print(done: Sequence[Calibrated]) -> None:
    if not done:
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("lab host", "processor", "reference"):
        table.add_column(column)
    for column in ("one core", "more cores", "within 0.25 cpus", "sure to", "measured"):
        table.add_column(column, justify="right")
    for one in done:
        calibration = one.calibration
        free = calibration.free
        more = ", ".join(f"{_time(timing.wall_s)} ({timing.threads})" for timing in free[1:]) or "-"
        taken = "known" if one.took_s is None else f"in {one.took_s:.0f} s"
        table.add_row(
            one.lab_host,
            calibration.processor or "unknown",
            calibration.reference,
            _time(free[0].wall_s),
            more,
            _time(calibration.within_quota.wall_s),
            f"±{calibration.uncertainty:.1%}",
            taken,
        )
    out().print(table)
    for note in (*_describe_busy(done), *_describe_unequal(done)):
        out().print(f"note: {note}", highlight=False)


def _describe_busy(done: Sequence[Calibrated]) -> Iterator[str]:
    from fedsim_runner.compute.references import REFERENCES

    for one in done:
        if not one.calibration.is_sure:
            engine = REFERENCES[one.calibration.reference].engine
            seems = "was" if one.calibration.was_busy else "seems to have been"
            yield (
                f"lab host {one.lab_host} {seems} busy with something else while {one.calibration.reference} was "
                f"measured: `fedsim-provision calibrate --engine {engine} --again` when it is not"
            )


def _describe_unequal(done: Sequence[Calibrated]) -> Iterator[str]:
    """Yield which lab hosts have the same model of processor, for which one result is kept, and are not as fast."""
    groups: dict[tuple[str, str], list[Calibrated]] = {}
    for one in done:
        groups.setdefault((one.calibration.processor, one.calibration.reference), []).append(one)
    for (processor, reference), alike in groups.items():
        ordered = sorted(alike, key=lambda one: one.calibration.within_quota.cpu_s)
        fastest, slowest = (one.calibration.within_quota.cpu_s for one in (ordered[0], ordered[-1]))
        if slowest > (1 + EQUAL_WITHIN) * fastest:
            yield (
                f"lab hosts {ordered[0].lab_host} and {ordered[-1].lab_host} have the same processor ({processor}), "
                f"and a step of {reference} took {_time(fastest)} and {_time(slowest)} of it: plans take the result "
                "that was kept last for both; with a name each in the inventory (fedsim_processor) they have their own"
            )


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
