"""The options of a run that are not in the experiment file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DEFAULT_RUNS_DIR = Path("runs")


@dataclass(frozen=True)
class Repeated:
    """The earlier run that is repeated: its name and its present folder."""

    run: str
    folder: Path


@dataclass(frozen=True)
class RunOptions:
    """Options of a run. ``run`` None: a name is generated. ``sweep``: the sweep that the run is a part of.

    ``lab``: the inventory of the lab that it is on; None: this machine.
    """

    run: str | None = None
    runs_dir: Path = DEFAULT_RUNS_DIR
    keep: bool = False
    allow_unshaped: bool = False
    image_base: str | None = None
    devices: str | None = None
    repeats: Repeated | None = None
    sweep: str | None = None
    lab: Path | None = None

    @property
    def words(self) -> list[str]:
        """The words of a command line that give the same again, without the name of the run."""
        words = ["--keep"] * self.keep + ["--allow-unshaped"] * self.allow_unshaped
        words += [] if self.image_base is None else ["--image-base", self.image_base]
        words += [] if self.lab is None else ["-i", str(self.lab)]
        return words if self.runs_dir == DEFAULT_RUNS_DIR else [*words, "--runs-dir", str(self.runs_dir)]
