"""The reference steps that participants timed before the gate, and what they should have taken."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedsim_runner.contract.lenient import number
from fedsim_runner.contract.paths import COLLECTED, EXIT_RECORD

from ..compute_verdict import Timed
from ..run_files import read_json
from .devices import LARGEST, LONGEST_RECORD


def read_timed(
    run_dir: Path, placed: Mapping[str, Mapping[str, Any]], cpu_factor: float, factor: float = 1.0
) -> dict[str, Timed]:
    """Return the reference steps that participants have timed before the gate, and what they should have taken.

    Args:
        run_dir: the run folder.
        placed: the devices of the device files.
        cpu_factor: by which all devices' processors are scaled; their times are longer by it.
        factor: device seconds in a wall second.
    """
    found = {}
    for name, entry in placed.items():
        compute = entry.get("compute")
        asked = number(compute.get("seconds")) if isinstance(compute, Mapping) else None
        end = read_json(run_dir / COLLECTED / name / EXIT_RECORD, LONGEST_RECORD) if asked else {}
        step, timed = (number(end.get(key)) for key in ("reference_step_seconds", "reference_timed_seconds"))
        if asked and step and timed and 0 < step < LARGEST and 0 < timed < LARGEST:
            found[name] = Timed(asked * factor / cpu_factor, step * factor, timed * factor)
    return found
