"""What other runs hold of a lab host, and the planned run itself, as their agents say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from fedsim_runner.contract.agent_calls import Call, Holds
from fedsim_runner.lab.host import LabHost, Standing, Taken

from ..values import UnreachableError
from .docker_engine import LabEngine


def beside_others(host: LabHost, engine: LabEngine, run: str | None) -> LabHost:
    """Return a lab host with what runs other than ``run`` hold of it, and what ``run`` has there already."""
    found = replace(host, taken=taken_by_others(engine, run), standing=_standing(engine, run))
    # What the run itself has taken so far would count twice.
    carries = run is not None and engine.containers(run, "device")
    return replace(found, memory_free_bytes=0) if carries else found


def taken_by_others(engine: LabEngine, run: str | None) -> tuple[Taken, ...]:
    """Return what runs other than ``run`` hold, in the order of their names.

    Of runs that came later than ``run`` only GPUs count: otherwise each of two runs would get less, by turns, whenever
    it is brought up again.
    """
    return tuple(_held(engine, run))


def _held(engine: LabEngine, run: str | None) -> Iterator[Taken]:
    made = engine.agents()
    own = made.get(run) if run is not None else None
    for other in sorted(made.keys() - {run}):
        answer = _ask(engine, other)
        if "gpu_ids" not in answer:  # agents of earlier versions do not know the call
            continue
        came_later = own is not None and made[other] > own
        taken = Taken(
            other,
            str(answer["user"]),
            0.0 if came_later else float(answer["cpus"]),
            0 if came_later else int(answer["memory_bytes"]),
            tuple(map(str, answer["gpu_ids"])),
        )
        if taken.cpus or taken.memory_bytes or taken.gpu_ids:
            yield taken


def _standing(engine: LabEngine, run: str | None) -> Standing | None:
    answer = {} if run is None else _ask(engine, run)
    if "devices" not in answer:
        return None
    devices = answer["devices"]
    return Standing(
        float(answer["cpu_factor"]),
        {name: device["cpus"] for name, device in devices.items()},
        {name: tuple(device["gpu_ids"]) for name, device in devices.items()},
    )


def _ask(engine: LabEngine, run: str) -> Mapping[str, Any]:
    """Return what an agent says; empty: there is none, or it is about to end, and what its run holds is not known."""
    try:
        return engine.ask_agent(run, _CALL) or {}
    except UnreachableError:
        return {}


_CALL: Call = Holds()
