"""Reading a trace file: which format it has, what is wrong with it, and its tracks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from ...contract.link_variation import Track
from ...yamlfile.spec_errors import SpecError
from .csv_trace import read_csv
from .mahimahi import Report, read_mahimahi

SIZE_MAX: Final = 64 * 2**20
STEPS_MAX: Final = 100_000
#: Of so many mistakes in one file each is named.
NAMED_MAX: Final = 10


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

    Blank lines, lines that begin with ``#``, a byte-order mark and Windows' line ends are skipped.

    Raises:
        OSError: it cannot be read.
    """
    mistakes: list[SpecError] = []

    def report(line: int, message: str, hint: str | None) -> None:
        mistakes.append(SpecError(str(path), line, 0, "", message, hint))

    found = _read(path, report)
    errors += mistakes[:NAMED_MAX]
    if len(mistakes) > NAMED_MAX:
        rest = len(mistakes) - NAMED_MAX
        errors.append(SpecError(str(path), mistakes[NAMED_MAX].line, 0, "", f"and {rest} more mistakes from here on"))
    return found


def _read(path: Path, report: Report) -> TraceFile | None:
    if path.stat().st_size > SIZE_MAX:
        report(0, f"is larger than {SIZE_MAX >> 20} MB", "cut the trace")
        return None
    content = path.read_bytes()
    try:
        lines = list(_lines(content.decode("utf-8-sig")))
    except UnicodeDecodeError as error:
        report(content.count(b"\n", 0, error.start) + 1, "is no text", "a trace is a CSV file or a Mahimahi trace")
        return None
    if not lines:
        report(0, "is empty", "a trace has at least one time")
        return None
    kind: Literal["csv", "mahimahi"] = "csv" if "," in lines[0][1] or not lines[0][1][:1].isdigit() else "mahimahi"
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
    return TraceFile(f"{path.name}-{hashlib.sha256(content).hexdigest()[:12]}", kind, *tracks)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.strip()
        if bare and not bare.startswith("#"):
            yield number, bare
