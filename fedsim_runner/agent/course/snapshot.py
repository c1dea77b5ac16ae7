"""The state of a course at one moment, for people who watch it: the content of ``snapshot.json`` and ``ctl status``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from ..host.device_usage import Usage
from .supervision import Supervisor


def course_part(supervisor: Supervisor | None, total_rounds: int, time_factor: float = 1.0) -> dict[str, Any]:
    """The round and the last results; ``time_factor``: device seconds in a wall second.

    What a snapshot has besides is in wall time.
    """
    return {
        "round": supervisor.round if supervisor is not None else 0,
        "rounds_done": supervisor.rounds_done if supervisor is not None else 0,
        "total_rounds": total_rounds,
        "time_factor": time_factor,
        "results": _finite(supervisor.results) if supervisor is not None else {},
    }


def run_state(supervisor: Supervisor | None, final: bool) -> str:
    """The state of the run; ``final``: the outcome of the course stands, because its participants have ended too."""
    if supervisor is None:
        return "provisioned"
    if supervisor.outcome is None and not supervisor.is_open:
        return "loading"
    return supervisor.outcome.status if supervisor.outcome is not None and final else "running"


def ending(supervisor: Supervisor | None) -> dict[str, Any]:
    """Why the course ended, which device caused it, and which clients were lost."""
    outcome = supervisor.outcome if supervisor is not None else None
    return {
        "reason": outcome.reason if outcome is not None else None,
        "device": outcome.device if outcome is not None else None,
        "lost": supervisor.lost if supervisor is not None else {},
    }


def device_part(
    name: str, state: str, round_number: int, usage: Usage, cpus: float | None, memory_limit: int | None
) -> dict[str, Any]:
    """One device: its state and what it uses; null where unknown, for example after the device has ended."""
    reading, rates = usage.reading(name), usage.rates(name)
    return {
        "state": state,
        "round": round_number,
        "cpu": _rounded(rates.cpu, 4) if rates is not None else None,
        "cpus": cpus,
        "memory_bytes": reading.memory_bytes if reading is not None else None,
        "memory_limit_bytes": memory_limit,
        "up_bps": _rounded(rates.up_bps) if rates is not None else None,
        "down_bps": _rounded(rates.down_bps) if rates is not None else None,
        "oom_kills": reading.oom_kills if reading is not None else 0,
        "throttled": _rounded(rates.throttled, 3) if rates is not None else None,
    }


def counts(devices: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Devices by state."""
    return dict(Counter(str(device["state"]) for device in devices))


def _rounded(value: float | None, digits: int | None = None) -> float | None:
    return None if value is None else round(value, digits)


def _finite(results: Mapping[str, float]) -> dict[str, float | None]:
    # NaN and infinity are not valid JSON.
    return {key: value if abs(value) < float("inf") else None for key, value in results.items()}
