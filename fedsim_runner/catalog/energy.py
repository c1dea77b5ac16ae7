"""The power figures of device types."""

from __future__ import annotations

from ..contract.energy import EnergyModel
from .entries import EnergyEntry
from .problem import Problem


def resolve_energy(entry: EnergyEntry) -> tuple[EnergyModel | None, list[Problem]]:
    """Return the model of an entry's figures, or what is wrong with them."""
    problems = []
    if not entry.source.strip():
        problems.append(Problem(("energy", "source"), "is empty", "say where the figures are from"))
    if entry.active_watts < entry.idle_watts:
        text = f"less than the {entry.idle_watts:g} W of idle_watts"
        hint = "it is the power of the whole device while it computes"
        problems.append(Problem(("energy", "active_watts"), text, hint))
    if problems:
        return None, problems
    return (
        EnergyModel(
            idle_watts=float(entry.idle_watts),
            active_watts=float(entry.active_watts),
            source=entry.source,
            joules_per_megabyte_up=float(entry.joules_per_megabyte_up),
            joules_per_megabyte_down=float(entry.joules_per_megabyte_down),
        ),
        [],
    )
