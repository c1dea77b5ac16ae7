"""A sweep's folder: ``sweep.json``, which says what its runs are, and a run folder for each that has begun.

How far a run has got is read from its own folder, so that nothing here can contradict it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...contract import atomic
from ...contract.errors import Exit, FedsimError
from ...contract.names import RUN_PATTERN
from ...contract.paths import REPORT
from ...results.comparison.run_folders import is_run_folder
from ...results.run_files import read_json
from ...user_folders import expand_user, state_home
from ..options import DEFAULT_RUNS_DIR
from ..registry import Registry

SWEEP = "sweep.json"
VERSION = 1
# In a sweep's folder: attempts at its runs that did not finish.
UNFINISHED = "unfinished"
SHOWN = 6


@dataclass(frozen=True)
class SweepRun:
    """A run of a sweep. ``varied``: its values of the keys that the sweep varies."""

    run: str
    folder: Path
    varied: Mapping[str, Any]

    @property
    def begun(self) -> bool:
        """Whether it has a folder with anything of a run."""
        return is_run_folder(self.folder)

    @property
    def finished(self) -> bool:
        """Whether its course has succeeded and its report is written."""
        return read_json(self.folder / REPORT).get("status") == "finished"


@dataclass(frozen=True)
class Sweep:
    """A sweep as its folder has it.

    Attributes:
        asked: what was asked for, to compare with what another call asks for.
    """

    name: str
    folder: Path
    experiment: str
    asked: Mapping[str, Any]
    runs: tuple[SweepRun, ...]

    def write(self) -> None:
        """Write ``sweep.json``.

        Raises:
            OSError: it cannot be written.
        """
        content = {
            "version": VERSION,
            "sweep": self.name,
            "experiment": self.experiment,
            "asked": self.asked,
            "runs": [{"run": one.run, "varied": one.varied} for one in self.runs],
        }
        atomic.write(self.folder / SWEEP, json.dumps(content, indent=1) + "\n")

    @property
    def named(self) -> str:
        """Its runs' names, for messages."""
        names = [one.run for one in self.runs]
        return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def is_sweep_folder(folder: Path) -> bool:
    """Whether ``folder`` is that of a sweep, and this user may look into it."""
    try:
        return (folder / SWEEP).is_file()
    except OSError:  # among others a name that no file can have
        return False


def read_sweep(folder: Path) -> Sweep:
    """Read a sweep's folder.

    Raises:
        FedsimError: it is damaged, or of another version.
    """
    path = folder / SWEEP
    content = read_json(path)
    if content.get("version") != VERSION:
        version = content.get("version")
        what = "is damaged" if version is None else f"has version {version}, this fedsim-runner reads version {VERSION}"
        raise FedsimError(f"{path} {what}", Exit.SPEC)
    try:
        runs = tuple(_read_run(entry, folder) for entry in content["runs"])
        return Sweep(_name(content["sweep"]), folder, str(content["experiment"]), _asked(content["asked"]), runs)
    except (KeyError, TypeError, ValueError) as error:
        raise FedsimError(f"{path} is damaged: {error}", Exit.SPEC) from error


def find_sweep(name: str, runs_dir: Path | None = None) -> Sweep | None:
    """Find a sweep by its folder or its name; None if there is none.

    Raises:
        FedsimError: its folder is damaged, or its path names a user that there is not.
    """
    places = [expand_user(name, "RUN")]
    if RUN_PATTERN.fullmatch(name):
        entry = sweeps().find(name)
        places += [Path(entry.folder)] if entry is not None else []
        places.append((runs_dir or DEFAULT_RUNS_DIR) / name)
    folder = next((place for place in places if is_sweep_folder(place)), None)
    return None if folder is None else read_sweep(folder.resolve())


def refuse_lost_sweep(name: str) -> None:
    """Refuse a name that is only known as that of a sweep whose folder is gone: nobody knows its runs any more.

    Raises:
        FedsimError: it is one.
    """
    entry = sweeps().find(name) if RUN_PATTERN.fullmatch(name) else None
    if entry is not None and not Path(entry.folder).exists() and Registry().find(name) is None:
        hint = f"name them: {name}-..., as fedsim-provision status lists them"
        raise FedsimError(f"sweep {name}: its folder {entry.folder} is gone, so its runs are unknown", Exit.SPEC, hint)


def sweeps() -> Registry:
    """The sweeps of this user, so that other shells find them by name."""
    return Registry(state_home() / "sweeps")


def folder_in_sweep(run: str, runs_dir: Path) -> Path | None:
    """The folder of a run that is a sweep's, in a folder of runs; None if it is not there."""
    if not runs_dir.is_dir():
        return None
    of_sweeps = (path / run for path in runs_dir.iterdir() if run.startswith(f"{path.name}-") and is_sweep_folder(path))
    return next((folder for folder in of_sweeps if folder.is_dir()), None)


def _read_run(entry: Any, folder: Path) -> SweepRun:
    run = _name(entry["run"])
    return SweepRun(run, folder / run, dict(entry["varied"]))


def _asked(value: Any) -> dict[str, Any]:
    asked = dict(value)
    if not isinstance(asked.get("seeds", []), list):
        raise ValueError(f"the seeds {asked['seeds']!r} are not a list")
    return asked


def _name(value: Any) -> str:
    if not isinstance(value, str) or not RUN_PATTERN.fullmatch(value):
        raise ValueError(f"{value!r} is not the name of a run")
    return value
