"""What the user asks for besides the experiment file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DEFAULT_RUNS_DIR = Path("runs")


@dataclass(frozen=True)
class Repeated:
    """An earlier run that is run again: its name and its folder, wherever that lies now."""

    run: str
    folder: Path


@dataclass(frozen=True)
class RunOptions:
    """``run`` None: a name is made up."""

    run: str | None = None
    runs_dir: Path = DEFAULT_RUNS_DIR
    keep: bool = False
    allow_unshaped: bool = False
    image_base: str | None = None
    devices: str | None = None
    repeats: Repeated | None = None
