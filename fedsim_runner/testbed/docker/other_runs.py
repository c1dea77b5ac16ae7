"""What other runs hold of a lab host, and the planned run itself: as their agents say, else as they have reserved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fedsim_runner.contract.agent_calls import Call, Holds
from fedsim_runner.contract.reservation import Reservation
from fedsim_runner.lab.host import LabHost, Standing, Taken

from ..values import UnreachableError
from .docker_engine import LabEngine


def beside_others(host: LabHost, engine: LabEngine, run: str | None) -> LabHost:
    """Return a lab host with what runs other than ``run`` hold of it, and what ``run`` has there already."""
    found = replace(host, taken=taken_by_others(engine, run, host.reservations), standing=_standing(engine, run))
    # What the run itself has taken so far would count twice.
    carries = run is not None and engine.containers(run, "device")
    return replace(found, memory_free_bytes=0) if carries else found


def taken_by_others(engine: LabEngine, run: str | None, reservations: Sequence[Reservation] = ()) -> tuple[Taken, ...]:
    """Return what runs other than ``run`` hold, in the order of their names.

    Of runs that came later than ``run`` only GPUs count: otherwise each of two runs would get less, by turns, whenever
    it is brought up again.
    """
    made = engine.agents()
    own = made.get(run) if run is not None else None
    answers = {other: _ask(engine, other) for other in made.keys() - {run}}
    held = {
        other: Taken(
            other,
            str(answer["user"]),
            float(answer["cpus"]),
            int(answer["memory_bytes"]),
            tuple(map(str, answer["gpu_ids"])),
        )
        for other, answer in answers.items()
        if "gpu_ids" in answer  # agents of earlier versions do not know the call
    }
    for one in reservations:
        if one.counts and one.run not in (run, *made):
            held[one.run] = Taken(one.run, one.user, one.cpus, one.memory_bytes, one.gpu_ids)
    if own is not None:
        later = {other for other in held if made.get(other, own + 1) > own}
        held.update({other: replace(held[other], cpus=0.0, memory_bytes=0) for other in later})
    found = (held[other] for other in sorted(held))
    return tuple(taken for taken in found if taken.cpus or taken.memory_bytes or taken.gpu_ids)


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
