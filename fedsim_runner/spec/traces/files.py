"""Reading a trace file: which format it has, what is wrong with it, and its tracks."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from ...contract.link_variation import Track
from ...yamlfile.spec_errors import SpecError
from ..text_table import Report, named_mistakes, number_in, read_lines
from .csv_trace import read_csv
from .mahimahi import read_mahimahi

STEPS_MAX: Final = 100_000


@dataclass(frozen=True)
class TraceFile:
    """What a trace file says. A Mahimahi trace has no direction of its own: both tracks are the same.

    ``name``: its tracks are called by it in a run; the file's name, and what tells it from others of that name.
    """

    name: str
    kind: Literal["csv", "mahimahi"]
    up: Track
    down: Track


def read_trace_file(path: Path, errors: list[SpecError]) -> TraceFile | None:
    """Read a trace; None: something is wrong in it, which is among the errors.

    Raises:
        OSError: it cannot be read.
    """
    mistakes: list[SpecError] = []

    def report(line: int, message: str, hint: str | None) -> None:
        mistakes.append(SpecError(str(path), line, 0, "", message, hint))

    found = _read(path, report)
    errors += named_mistakes(path, mistakes)
    return found


def _read(path: Path, report: Report) -> TraceFile | None:
    lines = read_lines(path, "a trace is a CSV file or a Mahimahi trace", report)
    if lines is None:
        return None
    first = lines[0][1].split()
    are_numbers = len(lines[0][1].split(",")) == 1 and all(number_in(word) is not None for word in first)
    kind: Literal["csv", "mahimahi"] = "mahimahi" if are_numbers else "csv"
    if kind == "csv":
        tracks = read_csv(lines, report)
    else:
        packets = read_mahimahi(lines, report)
        tracks = None if packets is None else (packets, packets)
    if tracks is None:
        return None
    steps = len(tracks[0].at_ms)
    if steps > STEPS_MAX:
        report(0, f"has {steps:,} steps, more than {STEPS_MAX:,}", "cut the trace")
        return None
    return TraceFile(f"{path.name}-{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}", kind, *tracks)
